/** Unix sockets that only their user may open. */
import { chmodSync, existsSync, lstatSync, rmSync } from 'node:fs'
import { type Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import { MeshError } from '../errors.ts'
import { checkOwn, ensurePrivateDir } from './files.ts'
import { isShared } from './home.ts'

/** Time between looks at the own socket: what cleans /tmp by age removes it. A command waits longer than this. */
const LOOK_MS = 1000

/**
 * Listens on `path`, in place of what was left there, and again whenever the socket was removed, until the server is
 * closed.
 */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  await bind(server, path)
  if (process.platform === 'win32') return
  let isBinding = false
  const timer = setInterval(() => {
    if (isBinding) return
    if (!server.listening) return clearInterval(timer)
    if (!isLost(path)) return
    isBinding = true
    // One that is open already has its connections; it cannot listen twice.
    server.close()
    bind(server, path)
      // The folder may be another user's now: tried again.
      .catch(() => {})
      .finally(() => {
        isBinding = false
      })
  }, LOOK_MS).unref()
}

/** A session directory that is gone was cleared away with all that is in it. */
function isLost(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })) return false
  return isShared(path) || existsSync(dirname(path))
}

/**
 * The directory is 0700 before the socket is there, so that its own mode may come after: a umask would be one for
 * everything that this process makes meanwhile.
 */
async function bind(server: Server, path: string): Promise<void> {
  ensurePrivateDir(dirname(path))
  rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  if (process.platform !== 'win32') chmodSync(path, 0o600)
}

/**
 * Connects to a socket that no other user can have made. Any other gives an `error` and is not spoken to. One that is not
 * there yet, or whose directory is not, is ENOENT: by the time of the connection another user could have made it.
 */
export function connectPrivately(path: string): Socket {
  const socket = new Socket()
  try {
    checkOwner(path)
  } catch (error) {
    return socket.destroy(error as Error)
  }
  return socket.connect(path)
}

/**
 * Throws `denied` for a socket that is another user's, or could be a moment later: its directory must be ours or root's,
 * and others must not write to it, except where nobody moves what is ours (/tmp). Else throws as `lstat(2)`.
 */
function checkOwner(path: string): void {
  const uid = process.getuid?.()
  // A pipe of Windows is in no directory.
  if (uid === undefined) return
  const parent = dirname(path)
  const dir = lstatSync(parent)
  if (dir.uid !== 0 || !dir.isDirectory()) checkOwn(dir, parent)
  // Without a socket there is nothing to refuse: whoever listens makes the directory private first.
  const socket = lstatSync(path)
  const isSticky = (dir.mode & 0o1000) !== 0
  if ((dir.mode & 0o022) !== 0 && !isSticky) {
    throw new MeshError('denied', `other users may write to ${parent}`, { hint: `chmod 700 ${parent}` })
  }
  if (socket.uid !== uid) throw new MeshError('denied', `${path} belongs to another user`)
}
