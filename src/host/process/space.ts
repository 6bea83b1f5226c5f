/**
 * Process spaces: the PID namespaces of Linux, as sandboxes and containers have them. A process of another space cannot
 * be judged by its pid. macOS and Windows have one space.
 */
import { readFileSync, readlinkSync } from 'node:fs'

/** The space that the kernel starts in, which every other one is part of. */
const INITIAL = 'pid:[4026531836]'

let own: { space: string | undefined; sees: boolean } | undefined

function ownSpace(): { space: string | undefined; sees: boolean } {
  own ??=
    process.platform === 'linux' ? { space: spaceOf('self'), sees: seesItself() } : { space: undefined, sees: true }
  return own
}

/** This process's space; undefined where the system has only one. */
export function processSpace(): string | undefined {
  return ownSpace().space
}

/** False in a sandbox that kept the /proc of the space around it: the pids there are not those of this space. */
export function seesOwnSpace(): boolean {
  return ownSpace().sees
}

/** True in a space within another one, whose processes are not to be seen from here. */
export function isNested(): boolean {
  const space = processSpace()
  return space !== undefined && space !== INITIAL
}

/** The space of a process of this user; undefined where it cannot be read. */
export function spaceOf(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return undefined
  }
}

/** proc(5), NSpid: the pid in the space of this /proc, then in each space within it down to the process's own. */
function seesItself(): boolean {
  try {
    const pids = /^NSpid:(.*)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]?.trim().split(/\s+/)
    return pids === undefined || pids.length === 1
  } catch {
    return true
  }
}
