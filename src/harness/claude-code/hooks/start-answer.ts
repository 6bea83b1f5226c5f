/** Answers the SessionStart hook, which waits for the text of the start and for the file that the client is to watch. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomic } from '../../../host/files.ts'
import type { SessionOptions } from '../../types.ts'
import { CONTEXT_CHARS } from '../doors/mail-file.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import { WATCH_PATHS_FILE, WATCHED_FILE } from './files.ts'

/** A hook that waits takes its answer within a step of 20 ms. */
const TAKEN_MS = 1000

export class StartAnswer {
  readonly #options: Pick<SessionOptions, 'sessionDir' | 'log'>
  readonly #sidecar: SidecarEvents
  /** A hook has made its folder. */
  #isHooked = false

  constructor(options: Pick<SessionOptions, 'sessionDir' | 'log'>, sidecar: SidecarEvents) {
    this.#options = options
    this.#sidecar = sidecar
  }

  /** Makes sure that the hooks find what they need, which something that cleans up may have removed. */
  keep(): void {
    const { sessionDir, log } = this.#options
    const [folder, paths] = [join(sessionDir, 'start'), join(sessionDir, WATCH_PATHS_FILE)]
    try {
      if (existsSync(folder)) this.#isHooked = true
      else if (this.#isHooked && existsSync(sessionDir)) mkdirSync(folder, { mode: 0o700 })
      if (!existsSync(paths) && existsSync(sessionDir)) writeAtomic(paths, JSON.stringify(watchPaths(sessionDir)))
    } catch (error) {
      log('debug', 'what the hooks need is not there', { error: String(error) })
    }
  }

  /** Gives the hook `id` its text, or an empty one when that cannot be made, so that the hook stops waiting. */
  async give(id: string, text: Promise<string>): Promise<void> {
    try {
      this.#give(id, await text)
    } catch (error) {
      this.#options.log('warn', 'no text for the start', { error: String(error) })
      this.#give(id, '')
    }
  }

  #give(id: string, text: string): void {
    try {
      const path = writeAnswer(this.#options.sessionDir, id, text)
      if (text !== '') setTimeout(() => this.#lookAt(path), TAKEN_MS).unref()
    } catch (error) {
      this.#options.log('warn', 'the start was not answered', { error: String(error) })
    }
  }

  /** An answer that still lies there came too late. */
  #lookAt(path: string): void {
    const sidecar = this.#sidecar.open
    if (!sidecar || !existsSync(path)) return
    rmSync(path, { force: true })
    sidecar.startMissed?.()
  }
}

function watchPaths(sessionDir: string): string[] {
  return [join(sessionDir, WATCHED_FILE)]
}

/** Returns the path of the answer, where nothing is once the hook has it. Throws if the disk refuses. */
function writeAnswer(sessionDir: string, id: string, text: string): string {
  const hookSpecificOutput = {
    hookEventName: 'SessionStart',
    ...(text === '' ? {} : { additionalContext: text.slice(0, CONTEXT_CHARS) }),
    watchPaths: watchPaths(sessionDir),
  }
  const dir = join(sessionDir, 'start')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  // A hook that no longer waited left its answer.
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { force: true })
  const path = join(dir, id)
  writeAtomic(path, `${JSON.stringify({ hookSpecificOutput })}\n`)
  return path
}
