/** Unix sockets that only their user may open. */
import { chmodSync, lstatSync, rmSync } from 'node:fs'
import { type Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import { MeshError } from '../errors.ts'
import { checkOwn, ensurePrivateDir } from './files.ts'

/**
 * Listens on `path`, in place of what was left there. The directory is 0700 before the socket is there, so that its own
 * mode may come after: a umask would be one for everything that this process makes meanwhile.
 */
export async function listenPrivately(server: Server, path: string): Promise<void> {
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
