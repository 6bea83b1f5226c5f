/**
 * Watches a process that need not be a child of this one. Node has neither pidfd nor kqueue, and no signal comes for
 * another process's child: it is looked at, often enough that its end is noticed within a fraction of a second.
 */
import { constants } from 'node:os'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import { processState, waitStatus } from './process.ts'

/** A look is one small read of /proc, 0.03 ms. */
const LOOK_MS = 100
/** On macOS a look is a `ps` of 5 ms; between two of them it is only asked whether there is a process of that number. */
const DEAR_LOOKS = 20
/** A process that is stopped and goes on at once, under a debugger or a shell, is not reported. */
const STOPPED_MS = 500

/** The exit of a process. Both null: the system did not say. */
export interface Departure {
  code: number | null
  signal: NodeJS.Signals | null
}

interface Watcher {
  /** It has ended, or its number is another process's by now. Called once. */
  gone(how: Departure): void
  /** It was stopped by a signal for half a second, or goes on after that was reported. */
  stopped?(is: boolean): void
}

/** Looks at a process of this machine, every `lookMs`, until it is gone or the returned function is called. */
export function watchProcess(identity: ProcessIdentity, watcher: Watcher, lookMs = LOOK_MS): () => void {
  let stoppedAt: number | null = null
  let isReported = false
  let looks = 0
  const look = () => {
    if (process.platform === 'darwin' && looks++ % DEAR_LOOKS !== 0 && hasPid(identity.pid)) return
    const state = processState(identity)
    if (state === 'dead') {
      clearInterval(timer)
      return watcher.gone(departureOf(waitStatus(identity)))
    }
    stoppedAt = state === 'paused' ? (stoppedAt ?? performance.now()) : null
    const isStopped = stoppedAt !== null && (isReported || performance.now() - stoppedAt >= STOPPED_MS)
    if (isStopped !== isReported) watcher.stopped?.(isStopped)
    isReported = isStopped
  }
  const timer = setInterval(look, lookMs)
  return () => clearInterval(timer)
}

function hasPid(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** wait(2): the signal in the low seven bits, else the code in the next eight. */
function departureOf(status: number | null): Departure {
  if (status === null) return { code: null, signal: null }
  const number = status & 0x7f
  if (number === 0) return { code: (status >> 8) & 0xff, signal: null }
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0]
  return { code: null, signal: (name as NodeJS.Signals) ?? null }
}
