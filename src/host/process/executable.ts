/** Finds what a command's name stands for, as a shell would, before anything is started. */
import { accessSync, constants, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The directories in which POSIX systems look without a PATH. */
const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin'

export type Found = { path: string } | { fault: 'not_found' | 'not_executable'; path: string }

/** `word` with a slash is a path from `cwd`, else it is looked up in `path`. An empty entry of PATH is the directory itself. */
export function findExecutable(word: string, path: string | undefined, cwd: string): Found {
  if (word.includes('/')) return look(resolve(cwd, word)) ?? { fault: 'not_found', path: word }
  let refused: Found | null = null
  for (const entry of word === '' ? [] : (path || DEFAULT_PATH).split(':')) {
    const found = look(join(resolve(cwd, entry), word))
    if (found && 'fault' in found) refused ??= found
    else if (found) return found
  }
  return refused ?? { fault: 'not_found', path: word }
}

function look(path: string): Found | null {
  try {
    if (!statSync(path).isFile()) return { fault: 'not_executable', path }
    accessSync(path, constants.X_OK)
    return { path }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    return code === 'EACCES' || code === 'EPERM' ? { fault: 'not_executable', path } : null
  }
}
