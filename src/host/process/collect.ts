/**
 * Collects garbage once a process that worked hard has become quiet. V8 collects when it needs room, and a process that waits
 * needs none: what a burst of mail left behind would stay for hours (Node 20: 70 MB resident become 61).
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const LOOK_MS = 3000
/** Working time after which a collection is worth its 30 to 60 ms. A start takes less. */
const WORK_MS = 2000
/** Share of the time since the last look below which the process is quiet. */
const QUIET = 0.05
/** The second collection frees what the first one's finalizers let go of, and returns the pages. */
const PASSES = 2

/** Looks from now on, for as long as something else keeps the process alive. */
export function collectWhenQuiet(): void {
  let last = performance.eventLoopUtilization()
  let worked = 0
  let left = 0
  setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { active, utilization } = performance.eventLoopUtilization(now, last)
    last = now
    worked += active
    if (worked > WORK_MS) left = PASSES
    if (left === 0 || utilization > QUIET) return
    left--
    worked = 0
    collect()
  }, LOOK_MS).unref()
}

/** Collects all garbage now; false where this V8 does not offer it. */
export function collect(): boolean {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('globalThis.gc')
  if (typeof gc !== 'function') return false
  gc()
  return true
}
