/** The paths of mesh's files. */
import { createHash } from 'node:crypto'
import { userInfo } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { MeshError } from '../errors.ts'
import { quote } from '../wire/names.ts'

/** `sun_path` has 104 bytes on macOS and 108 on Linux, the final NUL included. */
const SOCKET_PATH_BYTES = 100

export type Env = Record<string, string | undefined>

export interface Home {
  root: string
  memberKey: string
  engine: string
  hooks: string
  run: string
  projects: string
  runs: string
}

/**
 * `MESH_HOME`, else the platform's usual folder for state. Absolute: sidecars work in other directories, and hooks ignore
 * another one. Throws `bad_request` for a relative one.
 */
export function meshHome(env: Env): Home {
  const root = resolve(absolute(env.MESH_HOME, 'MESH_HOME') ?? defaultRoot(env))
  return {
    root,
    memberKey: join(root, 'member.key'),
    engine: join(root, 'engine'),
    hooks: join(root, 'hooks'),
    run: join(root, 'run'),
    projects: join(root, 'projects'),
    runs: join(root, 'runs'),
  }
}

/** Returns the path that a variable has; null without one. */
function absolute(path: string | undefined, variable: string): string | null {
  if (!path) return null
  if (isAbsolute(path)) return path
  throw new MeshError('bad_request', `${variable} has to be an absolute path, it is ${quote(path)}`, {
    hint: `for example: export ${variable}="$PWD/${path}"`,
  })
}

/** The passwd entry stands in for an empty HOME, which homedir() would take for the directory that this runs in. */
export function userHome(env: Env): string {
  return absolute(env.HOME, 'HOME') ?? passwdHome()
}

function passwdHome(): string {
  try {
    return userInfo().homedir
  } catch {
    // A user id without an entry, as in many containers.
    throw new MeshError('bad_request', 'HOME is empty, and this user has no home directory', {
      hint: 'set MESH_HOME to an absolute path',
    })
  }
}

function defaultRoot(env: Env): string {
  const user = userHome(env)
  if (process.platform === 'darwin') return join(user, 'Library', 'Application Support', 'mesh')
  if (process.platform === 'win32') return join(env.LOCALAPPDATA || join(user, 'AppData', 'Local'), 'mesh')
  // Its specification has relative ones ignored.
  const state = env.XDG_STATE_HOME ?? ''
  return join(isAbsolute(state) ? state : join(user, '.local', 'state'), 'mesh')
}

/** The directory of one live session; `key` is `cc-<pid>`, `mcp-<pid>` or `operatorKey(...)`. */
export function sessionDir(home: Home, key: string): string {
  return join(home.run, key)
}

/** The file that says, as sh, which run the session of `dir` is: its shells source it with each call. */
export function runEnvPath(dir: string): string {
  return join(dir, 'run-env')
}

/** The directory of a name: its journal and its outbox. */
export function nameDir(home: Home, project: string, name: string): string {
  return join(home.projects, project, 'names', name)
}

/** The directory of a run of this machine; `id` must be a run id. */
export function runDir(home: Home, id: string): string {
  return join(home.runs, id)
}

export function operatorKey(project: string, name: string): string {
  return `op-${shortHash(`${project}/${name}`)}`
}

/** The local API of the session whose directory is `dir`. */
export function socketPath(dir: string): string {
  const path = join(dir, 'sock')
  if (process.platform === 'win32') return `\\\\.\\pipe\\mesh-${shortHash(dir)}`
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return path
  return `${sharedSockets()}/${shortHash(dir)}.sock`
}

/** Not the temporary directory of the environment: all processes of the user must agree. */
function sharedSockets(): string {
  return `/tmp/mesh-${process.getuid!()}`
}

/** Returns whether the socket is in the directory that all sessions with long paths share. */
export function isShared(socket: string): boolean {
  return socket.startsWith(`${sharedSockets()}/`)
}

/** The socket for a module in the client of the session whose directory is `dir`, which makes the path by itself. */
export function moduleSocketPath(dir: string): string {
  const path = `${dir}/mod`
  if (process.platform === 'win32') return `\\\\.\\pipe\\mesh-${shortHash(path)}`
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES ? path : `/tmp/mesh-${process.getuid!()}/${shortHash(path)}.sock`
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
