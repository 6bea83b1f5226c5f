/** Reads the client's own status from its entry in `<config dir>/sessions`. */
import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { join } from 'node:path'
import { type Env, userHome } from '../../../host/home.ts'
import { processSpace } from '../../../host/process/space.ts'
import { limits } from '../../../wire/limits.ts'
import { type RegistryEntry, registryEntry } from '../hooks/event.schema.ts'

/** Retries soon: the file is rewritten in place, and about one read in 70 sees half of it. */
const RETRY_MS = 20

/** Returns the folder where Claude Code keeps settings, transcripts and its session registry. */
export function configDir(env: Env): string {
  return env.CLAUDE_CONFIG_DIR || join(userHome(env), '.claude')
}

/** Returns the entry of client `pid`; null when there is none that can be read. */
export function readEntry(env: Env, pid: number): RegistryEntry | null {
  const text = readIfThere(entryPath(env, pid))
  return text === null ? null : parse(text)
}

function entryPath(env: Env, pid: number): string {
  return join(configDir(env), 'sessions', `${pid}.json`)
}

export class Registry {
  readonly #path: string
  readonly #onChange: (entry: RegistryEntry) => void
  #watcher: FSWatcher | null = null
  #retry: NodeJS.Timeout | null = null
  #last = ''
  #title: string | null

  constructor(env: Env, pid: number, onChange: (entry: RegistryEntry) => void) {
    this.#path = entryPath(env, pid)
    this.#onChange = onChange
    this.#title = titleOf(readEntry(env, pid))
  }

  /** The title that a person gave the session; null without one. */
  get title(): string | null {
    return this.#title
  }

  /** Reads the entry if it changed. Called on a slow beat as well: the file may come late, a watcher may miss. */
  read(): void {
    this.#watch()
    const text = readIfThere(this.#path)
    if (text === null) this.#unwatch()
    if (text === null || text === this.#last) return
    const entry = parse(text)
    if (entry) {
      this.#last = text
      this.#title = titleOf(entry)
      this.#onChange(entry)
    } else this.#readAgain()
  }

  /** Returns true when the client took its entry away, as it does at a clean end. A killed client leaves it. */
  get isRemoved(): boolean {
    return this.#last !== '' && readIfThere(this.#path) === null
  }

  stop(): void {
    this.#unwatch()
    if (this.#retry) clearTimeout(this.#retry)
  }

  #readAgain(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null
      this.read()
    }, RETRY_MS)
  }

  #watch(): void {
    if (this.#watcher) return
    try {
      this.#watcher = watch(this.#path, () => this.read())
      this.#watcher.on('error', () => this.#unwatch())
    } catch {
      // not there yet, or no longer
    }
  }

  #unwatch(): void {
    this.#watcher?.close()
    this.#watcher = null
  }
}

function titleOf(entry: RegistryEntry | null): string | null {
  if (entry?.nameSource !== 'user') return null
  return (
    (entry.name ?? '')
      .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, ' ')
      .trim()
      .slice(0, limits.sessionTitle)
      .replace(/\p{Cs}$/u, '') || null
  )
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function parse(text: string): RegistryEntry | null {
  try {
    const entry = registryEntry.safeParse(JSON.parse(text)).data
    return entry && isOfThisSpace(entry) ? entry : null
  } catch {
    return null
  }
}

/** The folder may be shared with a sandbox or a container, whose clients have the same pids. */
function isOfThisSpace({ pidDomain }: RegistryEntry): boolean {
  const space = /pid:\[\d+\]$/.exec(pidDomain ?? '')?.[0]
  return space === undefined || space === (processSpace() ?? space)
}
