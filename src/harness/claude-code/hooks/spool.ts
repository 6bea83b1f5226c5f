/** Reads the events that hooks dropped, in their order, and removes what is left over. */
import { type FSWatcher, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { limits } from '../../../wire/limits.ts'
import { type HookEvent, hookEvent } from './event.schema.ts'

/** A hook that has not finished its file by then never will. */
const ABANDONED_MS = 60_000

export interface Spooled {
  /** The file's name without its ending: event and process. The answer to a SessionStart has the same name. */
  id: string
  /** The event's name, from the file's. */
  name: string
  /** The time of the drop, as of `Date.now()`. */
  at: number
  /** Null if the file is no hook event: the mail that a hook took, or an event that was cut at the limit. */
  event: HookEvent | null
  text: string
}

export class Spool {
  readonly #dir: string
  readonly #onEvent: (spooled: Spooled) => void
  readonly #onLoss: (what: string) => void
  #watcher: FSWatcher | null = null
  /** Of the folder that is watched. */
  #inode: number | undefined
  #isStarted = false
  #draining = false

  /** `onLoss` gets the events that are lost: an overflow mark, or a file that is no event. */
  constructor(dir: string, onEvent: (spooled: Spooled) => void, onLoss: (what: string) => void) {
    this.#dir = dir
    this.#onEvent = onEvent
    this.#onLoss = onLoss
  }

  start(): void {
    this.#isStarted = true
    this.drain()
  }

  stop(): void {
    this.#isStarted = false
    this.#unwatch()
  }

  #unwatch(): void {
    this.#watcher?.close()
    this.#watcher = null
  }

  /** Watches the folder, and makes it again where something that cleans up removed it. */
  #watch(): void {
    const inode = statSync(this.#dir, { throwIfNoEntry: false })?.ino
    if (this.#watcher && inode === this.#inode) return
    this.#unwatch()
    try {
      if (inode === undefined) mkdirSync(this.#dir, { mode: 0o700 })
      this.#inode = statSync(this.#dir).ino
      this.#watcher = watch(this.#dir, () => this.drain())
      this.#watcher.on('error', () => this.#unwatch())
    } catch {
      // The whole session directory is gone, or watches are scarce: tried again with the next beat.
    }
  }

  /** Takes all events out of the spool. Also called on a slow beat: a watcher may miss one. */
  drain(): void {
    // An event may lead to a look for more.
    if (this.#draining) return
    this.#draining = true
    if (this.#isStarted) this.#watch()
    try {
      for (const { path, id, at } of list(this.#dir)) {
        const spooled = read(path, id, at)
        rmSync(path, { force: true })
        if (spooled) this.#onEvent(spooled)
        else this.#onLoss(id)
      }
    } finally {
      this.#draining = false
    }
  }

  /** Removes events that an earlier client of the same pid left. */
  sweep(before: number): void {
    for (const { path, at } of list(this.#dir)) if (at < before) rmSync(path, { force: true })
  }
}

/** Returns the first event of a name that waits in the spool, and leaves it there. */
export function peek(dir: string, name: string): Spooled | null {
  for (const { path, id, at } of list(dir)) {
    if (nameOf(id) === name) return read(path, id, at)
  }
  return null
}

function list(dir: string): { path: string; id: string; at: number }[] {
  const found: { path: string; id: string; at: number; mtimeNs: bigint }[] = []
  for (const file of names(dir)) {
    const path = join(dir, file)
    try {
      const { mtimeNs } = lstatSync(path, { bigint: true })
      const at = Number(mtimeNs / 1_000_000n)
      if (file.endsWith('.json') || file === 'overflow')
        found.push({ path, id: file.replace(/\.json$/, ''), at, mtimeNs })
      else if (at < Date.now() - ABANDONED_MS) rmSync(path, { force: true })
    } catch {
      // a hook is just done with it
    }
  }
  // File times advance in steps of some milliseconds; within a step the process ids give the order.
  return found.sort((a, b) => Number(a.mtimeNs - b.mtimeNs) || processOf(a.id) - processOf(b.id))
}

function processOf(id: string): number {
  return Number(/\d+$/.exec(id)?.[0] ?? 0)
}

function names(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

/** Returns null for a file that is no event. An event that was cut at the limit is known by its file's name alone. */
function read(path: string, id: string, at: number): Spooled | null {
  const name = nameOf(id)
  try {
    if (!/^[A-Za-z]+-\d+$/.test(id) || !lstatSync(path).isFile()) return null
    const text = readFileSync(path, 'utf8')
    if (name === 'MailTaken' || text.length >= limits.hookEventBytes) return { id, name, at, event: null, text }
    const event = hookEvent.safeParse(JSON.parse(text)).data
    return event ? { id, name, at, event, text } : null
  } catch {
    return null
  }
}

function nameOf(id: string): string {
  return id.replace(/-\d+$/, '')
}
