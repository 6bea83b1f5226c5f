/**
 * Brings the ends of a session's own runs into its mailbox: from there they go the way of all mail, through waiting
 * calls and doors, each once. An end that a waiting call gives to its caller is no mail any more.
 */
import { createHash } from 'node:crypto'
import { isTerminal } from '../core/run.ts'
import { readJson, writeAtomic } from '../host/files.ts'
import type { Delivery } from '../nats/mail.ts'
import type { RunStore } from '../nats/run-store.ts'
import { decodeEvent } from '../wire/codec.ts'
import type { Envelope } from '../wire/envelope.schema.ts'
import type { RunEvent } from '../wire/run.schema.ts'
import type { KeyRing } from './keys.ts'
import type { Logger } from './log.ts'
import type { Mailbox } from './mailbox.ts'

/** Without a note of what was read, older ends are no news. */
const NEWS_MS = 86_400_000
const CURSOR_BYTES = 4096
/** A change may go untold when the connection breaks: looked for as often. */
const LOOK_MS = 10_000
const ROOM_MS = 100
/** Of a run's last words, in the mail. */
const TAIL_CHARS = 400
const RESULT_CHARS = 4000

interface RunMailOptions {
  ring: KeyRing
  log: Logger
  me(): string
  mailbox(): Mailbox
  /** Where it is noted how far the events were read, for the name held now. */
  cursorPath(): string
  onArrived(): void
}

export class RunMail {
  readonly #options: RunMailOptions
  /** Runs whose end a call waits for. */
  readonly #awaited = new Map<string, number>()
  #store: RunStore | null = null
  #unfollow = () => {}
  #timer: NodeJS.Timeout | null = null
  #running = false
  #again = false

  constructor(options: RunMailOptions) {
    this.#options = options
  }

  attach(store: RunStore): void {
    this.detach()
    this.#store = store
    this.#unfollow = store.follow({ owner: this.#options.me(), phase: 'end' }, () => this.#poke())
    this.#timer = setInterval(() => this.#poke(), LOOK_MS).unref()
    this.#poke()
  }

  detach(): void {
    this.#unfollow()
    this.#unfollow = () => {}
    if (this.#timer) clearInterval(this.#timer)
    this.#store = null
  }

  /** A call waits for these runs: their ends are its to tell, until it is over. `told` are those that it told. */
  await(runs: readonly string[]): (told: readonly string[]) => void {
    for (const run of runs) this.#awaited.set(run, (this.#awaited.get(run) ?? 0) + 1)
    return (told) => {
      for (const run of told) this.#know(run)
      for (const run of runs) {
        const left = (this.#awaited.get(run) ?? 1) - 1
        if (left > 0) this.#awaited.set(run, left)
        else this.#awaited.delete(run)
      }
      this.#poke()
    }
  }

  #know(run: string): void {
    try {
      this.#options
        .mailbox()
        .know({ id: idOf(run), from: { member: '', name: this.#options.me(), epoch: 0 }, hops: 0, seq: 0 })
    } catch (error) {
      this.#options.log.debug({ error, run }, 'end of a run not noted as told')
    }
  }

  #poke(): void {
    this.#again = true
    if (this.#running) return
    this.#running = true
    void this.#readAll()
      .catch((error) => this.#options.log.debug({ error }, 'ends of runs not read'))
      .finally(() => {
        this.#running = false
      })
  }

  async #readAll(): Promise<void> {
    while (this.#again && this.#store) {
      this.#again = false
      await this.#read(this.#store)
    }
  }

  async #read(store: RunStore): Promise<void> {
    const { me, mailbox, cursorPath, onArrived } = this.#options
    const path = cursorPath()
    const noted = cursorIn(path)
    // A stream that went back is read again: what is known is known by its id.
    const from = noted !== null && noted <= (await store.next()) ? noted : 1
    const stored = await store.read({ owner: me(), phase: 'end' }, from)
    let next = from
    for (const delivery of stored) {
      const event = this.#readEvent(store, delivery)
      if (event && this.#awaited.has(event.run)) break
      const isNews = event && (noted !== null || Date.now() - Date.parse(event.at) < NEWS_MS)
      if (isNews && !event.attended && !mailbox().inbox.knows(idOf(event.run))) {
        if (!mailbox().hasRoom) {
          setTimeout(() => this.#poke(), ROOM_MS).unref()
          break
        }
        mailbox().arrive({ seq: 0, envelope: mailOf(event), verified: true }, Date.now())
        onArrived()
      }
      next = delivery.seq + 1
    }
    if (next !== noted) writeAtomic(path, JSON.stringify({ next }))
  }

  /** Only what a member says whose key is known: anybody could write an end. */
  #readEvent(store: RunStore, { subject, data }: Delivery): RunEvent | null {
    const read = decodeEvent(store.project, subject, data, (member) => this.#options.ring.keyOf(member))
    return 'event' in read && read.verified && isTerminal(read.event.type) ? read.event : null
  }
}

function cursorIn(path: string): number | null {
  const value = readJson(path, CURSOR_BYTES) as { next?: unknown } | null | undefined
  return typeof value?.next === 'number' && value.next >= 1 ? value.next : null
}

/** The mail of a run's end has an id of its own making, so that it is one however often it is read. */
function idOf(run: string): string {
  return `m_${createHash('sha256').update(`end of ${run}`).digest('hex').slice(0, 32)}`
}

/** The end of a run as mail: the first line says how, the rest is what the run wrote. */
function mailOf(event: RunEvent): Envelope {
  const { run, name, type, reason, suspect, durationMs, result, stderrTail, from, at, project } = event
  const took = durationMs === undefined ? '' : ` after ${(durationMs / 1000).toFixed(1)} s`
  const marks = `${reason ? `: ${reason}` : ''}${took}${suspect ? `, suspect: ${suspect}` : ''}`
  const summary = `${run.slice(0, 12)} ${name} ${type.slice('run_'.length)}${marks}`.replaceAll('\n', ' ')
  const words = [result?.slice(0, RESULT_CHARS), result ? undefined : stderrTail?.trimEnd().slice(-TAIL_CHARS)]
  const text = [summary, ...words.filter((part) => part)].join('\n').toWellFormed()
  const to = `run:${run}`
  return { v: 1, kind: 'message', id: idOf(run), project, from, to, seq: 1, sentAt: at, hops: 0, body: { text } }
}
