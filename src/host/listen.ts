/** Unix sockets that only their user may open. */
import { chmodSync, rmSync } from 'node:fs'
import type { Server } from 'node:net'
import { dirname } from 'node:path'
import { ensurePrivateDir } from './files.ts'

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
