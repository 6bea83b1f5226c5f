/** Recognizes a sandbox around this process. What it forbids and hides looks like other faults, to be mended elsewhere. */
import { accessSync, constants, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { MeshError } from '../errors.ts'
import type { Env } from './home.ts'

/** Returns the name of the sandbox whose variable is set: Claude Code's runtime sets it for the shells of a model. */
export function sandboxName(env: Env): string | null {
  return env.SANDBOX_RUNTIME ? 'Claude Code’s sandbox (SANDBOX_RUNTIME is set)' : null
}

/** Returns the error for what a sandbox keeps a command from, for example `connecting to …`. */
export function sandboxed(env: Env, from: string, cause?: unknown): MeshError {
  return new MeshError('sandboxed', `${sandboxName(env) ?? 'a sandbox'} keeps this command from ${from}`, { cause })
}

/** Profiles of macOS let single sockets through; a system call filter, as Linux has it, all or none. */
export const filtersSocketsByPath = process.platform === 'darwin'

/** What filters of system calls and profiles answer to the making of a socket; a file's mode answers EACCES. */
const REFUSALS = new Set(['EPERM', 'EAFNOSUPPORT', 'ENOSYS'])

/** Returns true if a connection to a socket of ours failed because of a sandbox. */
export function isRefusal(error: unknown, path: string): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  if (code === 'EACCES') return mayWrite(path)
  return code !== undefined && REFUSALS.has(code)
}

/** True for what its mode, or a sandbox, lets us write. */
export function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Resolves to true where no socket below `dir` can be reached. No socket need be there: the call before is refused. */
export function refusesSockets(dir: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(filtersSocketsByPath ? join(dir, 'none') : '/none')
    probe
      .once('connect', () => resolve(false))
      .once('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code !== undefined && REFUSALS.has(error.code))
      })
    probe.once('close', () => probe.destroy())
  })
}

/** Returns true if a path cannot be written here although its file system can be: only this view of it is read-only. */
export function isReadOnlyView(path: string): boolean {
  try {
    return viewOf(path, readFileSync('/proc/self/mountinfo', 'utf8'))
  } catch {
    return false
  }
}

/** Returns why nothing that is started here could use the mesh home `root`: its sockets or its files are shut off; else null. */
export async function shutOff(env: Env, root: string): Promise<MeshError | null> {
  if (await refusesSockets(root)) return sandboxed(env, 'connecting to mesh')
  return isReadOnlyView(root) ? sandboxed(env, `writing ${root}`) : null
}

/** proc_pid_mountinfo(5): the fifth field is the mount point, the sixth the view's options, the last the file system's. */
function viewOf(path: string, mounts: string): boolean {
  const views = mounts.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ')
    const [, , , , point = '', options = ''] = left.split(' ')
    const at = point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    if (!`${path}/`.startsWith(at === '/' ? '/' : `${at}/`)) return []
    return [{ at, isReadOnly: has(options, 'ro') && !has(right.split(' ').at(-1) ?? '', 'ro') }]
  })
  // Of several mounts on one point the last covers the others.
  return views.toSorted((a, b) => a.at.length - b.at.length).at(-1)?.isReadOnly ?? false
}

function has(options: string, word: string): boolean {
  return options.split(',').includes(word)
}
