/** Tries in the mesh home what not every file system can do: locks need hard links, sessions need sockets. */
import { existsSync, linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type Finding, fault } from '../finding.ts'
import type { Setup } from '../setup.ts'
import { another } from './home.ts'

/** Answers of a file system to what it lacks. */
const LACKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

export async function lookAtFileSystem({ env, home: { root } }: Setup): Promise<Finding[]> {
  if (!existsSync(root)) return []
  const dir = mkdtempSync(join(root, '.doctor-'))
  try {
    const lacking = linkIn(dir) ? ((await bindIn(dir)) ? null : 'sockets') : 'hard links'
    if (lacking === null) return []
    const cause = `the file system of ${root} has no ${lacking}, without which no session joins: take a folder of a local disk`
    return [fault('home.filesystem', cause, `${another(env.HOME, root)} && mesh install`)]
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function linkIn(dir: string): boolean {
  const file = join(dir, 'file')
  try {
    writeFileSync(file, '')
    linkSync(file, join(dir, 'link'))
    return true
  } catch (error) {
    return !isLack(error)
  }
}

function bindIn(dir: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(!isLack(error)))
    server.listen(join(dir, 'sock'), () => server.close(() => resolve(true)))
  })
}

/** A full disk, or a path that is too long, is another check's matter. */
function isLack(error: unknown): boolean {
  return LACKS.has((error as NodeJS.ErrnoException).code ?? '')
}
