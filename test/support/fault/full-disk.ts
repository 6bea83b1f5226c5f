/** A file system of its own that is filled up and freed again. Needs the right to mount a tmpfs. */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class FullDisk {
  readonly root: string
  /** False where this user may not mount. */
  readonly isMounted: boolean
  readonly #place = mkdtempSync(join(tmpdir(), 'mesh-full-'))

  /** Mounted without the parents' options: a plain tmpfs. */
  constructor(suite: string, sizeMb: number) {
    this.root = join(this.#place, 'home')
    mkdirSync(this.root)
    const options = `size=${sizeMb}m,mode=0700`
    this.isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'mesh-fault', this.root]).status === 0
    if (!this.isMounted) console.log(`${suite}: SKIPPED: this user may not mount a tmpfs`)
  }

  get #ballast(): string {
    return join(this.root, 'ballast')
  }

  get #free(): number {
    const { bavail, bsize } = statfsSync(this.root)
    return bavail * bsize
  }

  /** Takes all space but `left` bytes. */
  fill(left: number): void {
    const fd = openSync(this.#ballast, 'w')
    try {
      for (let chunk = Buffer.alloc(1024 * 1024); this.#free > left; ) {
        const size = Math.min(chunk.length, this.#free - left)
        if (size < 4096) break
        writeSync(fd, chunk, 0, size)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      closeSync(fd)
    }
  }

  free(): void {
    rmSync(this.#ballast, { force: true })
  }

  close(): void {
    if (this.isMounted) spawnSync('umount', ['-l', this.root])
    rmSync(this.#place, { recursive: true, force: true })
  }
}
