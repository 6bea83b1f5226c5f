/** What a process that is killed leaves on disk. */
import { cpSync, existsSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'

/** Copies directories as they are now; the result puts them back, without locks and sockets. */
export function keepDisk(dirs: string[], store: string): () => void {
  const kept = dirs.filter((dir) => existsSync(dir)).map((dir, i) => ({ dir, copy: join(store, String(i)) }))
  const isLasting = (path: string) => !['lock', 'sock'].includes(basename(path))
  for (const { dir, copy } of kept) cpSync(dir, copy, { recursive: true, filter: isLasting })
  return () => {
    for (const { dir, copy } of kept) {
      rmSync(dir, { recursive: true, force: true })
      renameSync(copy, dir)
    }
  }
}
