/**
 * Files that a process holds for exactly its life: flock(2), which the kernel gives up with the last process that has the
 * file open, and which every process space sees. A child that inherits the descriptor goes on holding it. Node has none
 * of its own: Linux has flock(1), macOS a flag of open(2).
 */
import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'

/** fcntl.h of macOS. */
const O_EXLOCK = 0x20
const FLOCK_MS = 5000
const CONFLICT = 1
const PATHS = '/usr/bin:/bin:/usr/local/bin'

export interface Held {
  readonly fd: number
  /** False where the system or the file system cannot hold a file: it is open, and that is all. */
  readonly isHeld: boolean
}

/** Opens a file, makes it if need be, and holds it. Null if another process holds it. Throws as `open(2)`. */
export function openHeld(path: string): Held | null {
  return openWith(path, constants.O_RDWR | constants.O_CREAT)
}

function openWith(path: string, flags: number): Held | null {
  if (process.platform === 'darwin') return openLocked(path, flags)
  const fd = openSync(path, flags, 0o600)
  const taken = process.platform === 'linux' ? flock(fd) : null
  if (taken !== false) return { fd, isHeld: taken === true }
  closeSync(fd)
  return null
}

/** True if another process holds the file; false where none does, or nobody could. Throws as `open(2)`. */
export function isHeld(path: string): boolean {
  try {
    // A sandbox may let it be read only.
    const held = openWith(path, constants.O_RDONLY)
    if (held) closeSync(held.fd)
    return held === null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function openLocked(path: string, flags: number): Held | null {
  try {
    return { fd: openSync(path, flags | O_EXLOCK | constants.O_NONBLOCK, 0o600), isHeld: true }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EAGAIN') return null
    if (code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error
    return { fd: openSync(path, flags, 0o600), isHeld: false }
  }
}

/** True if it is ours now, false if it is another's, null where flock(1) or the file system has no such thing. */
function flock(fd: number): boolean | null {
  const { status } = spawnSync('flock', ['-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
    env: { PATH: `${process.env.PATH ?? ''}:${PATHS}` },
    timeout: FLOCK_MS,
  })
  if (status === 0) return true
  return status === CONFLICT ? false : null
}
