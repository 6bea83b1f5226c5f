/**
 * Random histories of a mailbox and of an outbox against tiny models that know nothing of journals: after a crash the
 * file is cut at any byte, and what is rebuilt from the rest must be what the model was when that byte was written.
 * A failing history is printed with fast-check's seed and path; MESH_FAULT_SEED repeats a whole run.
 */
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { Outbox, type OutboxStep } from '../../../src/core/mail/outbox.ts'
import { Mailbox } from '../../../src/daemon/mail/mailbox.ts'
import { Journal } from '../../../src/host/journal.ts'
import type { Logger } from '../../../src/host/log.ts'
import type { ProjectStore } from '../../../src/nats/project-store.ts'
import type { Envelope, Surfaced } from '../../../src/wire/envelope.schema.ts'

const HISTORIES = 1000
const COMMANDS = 40
const seed = process.env.MESH_FAULT_SEED === undefined ? {} : { seed: Number(process.env.MESH_FAULT_SEED) }
const runs = { numRuns: HISTORIES, ...seed }

const root = mkdtempSync(join(tmpdir(), 'mesh-model-'))
let dirs = 0

afterAll(() => rmSync(root, { recursive: true, force: true }))

function freshDir(): string {
  return mkdtempSync(join(root, `${dirs++}-`))
}

// --- mailbox

const log = new Proxy({}, { get: () => () => {} }) as Logger

const mailCommand = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('arrive' as const),
      message: fc.nat(15),
      skipped: fc.nat(2),
      repeat: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('skip' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('hand' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('back' as const), which: fc.nat(3), certain: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('surface' as const), which: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), which: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('save' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('crash' as const), keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
)
type MailCommand = typeof mailCommand extends fc.Arbitrary<infer C> ? C : never

interface Unread {
  id: string
  seq: number
  role: boolean
  handover: string | null
  repeat: boolean
}

/** What is true of a mailbox, with nothing of how it is kept. */
interface MailState {
  unread: Unread[]
  read: string[]
  /** The end of the mail seen; roles come on another way. */
  high: number
}

class MailModel {
  state: MailState = { unread: [], read: [], high: 0 }
  /** What the disk would have after each write, by the size of the file then. */
  kept: { size: number; state: MailState }[] = []
  record: Surfaced | null = null

  change(edit: (state: MailState) => void): void {
    this.state = structuredClone(this.state)
    edit(this.state)
  }

  knows(id: string): boolean {
    return this.state.read.includes(id) || this.state.unread.some((one) => one.id === id)
  }

  deliverable(): Unread[] {
    return this.state.unread.filter(({ handover }) => handover === null).toSorted((a, b) => a.seq - b.seq)
  }

  handovers(): string[] {
    return [...new Set(this.state.unread.flatMap(({ handover }) => handover ?? []))].sort()
  }

  /** After a crash nobody knows whether what was handed over was shown. */
  restart(size: number): void {
    this.state = structuredClone(this.kept.findLast((one) => one.size <= size)!.state)
    for (const one of this.state.unread) {
      if (one.handover !== null) Object.assign(one, { handover: null, repeat: true })
    }
  }
}

/** The surfaced bucket of one name. */
function memoryStore() {
  let entry: { value: Surfaced; revision: number } | null = null
  const surfaced = {
    look: async () => entry ?? { value: null, revision: 0 },
    update: async (_name: string, value: Surfaced, revision: number) => {
      if ((entry?.revision ?? 0) !== revision) return null
      entry = { value, revision: revision + 1 }
      return entry.revision
    },
  }
  return { store: { surfaced } as unknown as ProjectStore, record: () => entry?.value ?? null }
}

class MailWorld {
  readonly model = new MailModel()
  readonly #dir = freshDir()
  readonly #memory = memoryStore()
  #mailbox: Mailbox
  #opened = 0
  #seq = 0
  #hands = 0

  constructor() {
    this.#mailbox = this.#open()
  }

  get #path(): string {
    return join(this.#dir, 'journal.jsonl')
  }

  #open(): Mailbox {
    const mailbox = Mailbox.open(this.#dir, log)
    this.#opened = statSync(this.#path).size
    this.model.kept = [{ size: this.#opened, state: this.model.state }]
    return mailbox
  }

  async run(command: MailCommand): Promise<void> {
    const { model } = this
    switch (command.do) {
      case 'arrive':
        this.#arrive(command.message, command.skipped, command.repeat)
        break
      case 'skip': {
        const seq = ++this.#seq
        this.#mailbox.skip(seq)
        // In memory only: after a crash it is read again, and skipped again.
        model.change((state) => (state.high = seq))
        return
      }
      case 'hand':
        this.#hand(command.count)
        break
      case 'back':
      case 'surface':
        this.#settle(command)
        break
      case 'drop':
        this.#drop(command.which)
        break
      case 'save':
        return this.#save()
      case 'crash':
        return this.#crash(command.keep)
    }
    model.kept.push({ size: statSync(this.#path).size, state: this.#keptState() })
  }

  /** What was skipped since the last write is not on disk. */
  #keptState(): MailState {
    const arrived = [...this.model.kept.map(({ state }) => state.high), this.#highArrived]
    return { ...this.model.state, high: Math.max(...arrived) }
  }

  #highArrived = 0

  #arrive(message: number, skipped: number, repeat: boolean): void {
    const role = message % 5 === 0
    this.#seq += 1 + skipped
    const seq = role ? Math.max(1, this.#seq - skipped * 3) : this.#seq
    const envelope = envelopeOf(message, role)
    const { model } = this
    this.#mailbox.arrive({ seq, envelope, verified: true }, 1, { repeat })
    model.change((state) => {
      if (!model.knows(envelope.id)) state.unread.push({ id: envelope.id, seq, role, handover: null, repeat })
      if (!role) state.high = Math.max(state.high, seq)
    })
    if (!role) this.#highArrived = Math.max(this.#highArrived, seq)
  }

  #hand(count: number): void {
    const entries = this.#mailbox.inbox.deliverable().slice(0, count)
    if (entries.length === 0) return
    const handover = `h_${this.#hands++}`
    const ids = this.model
      .deliverable()
      .slice(0, count)
      .map(({ id }) => id)
    this.#mailbox.hand(handover, entries, 'inbox', 1)
    this.model.change(({ unread }) => {
      for (const one of unread) if (ids.includes(one.id)) one.handover = handover
    })
  }

  #settle(command: Extract<MailCommand, { do: 'back' | 'surface' }>): void {
    const handover = this.model.handovers()[command.which]
    if (handover === undefined) return
    const ids = this.model.state.unread.filter((one) => one.handover === handover).map(({ id }) => id)
    if (command.do === 'back') {
      this.#mailbox.giveBack(handover, command.certain)
      this.model.change(({ unread }) => {
        for (const one of unread) {
          if (ids.includes(one.id)) Object.assign(one, { handover: null, repeat: one.repeat || !command.certain })
        }
      })
    } else {
      expect(this.#mailbox.surface([...ids, 'm_unknown'], 1)).toHaveLength(ids.length)
      this.model.change((state) => {
        state.unread = state.unread.filter(({ id }) => !ids.includes(id))
        state.read.push(...ids)
        this.#changed = true
      })
    }
  }

  /** A role's message that somebody else took over is as if it had never come. */
  #drop(which: number): void {
    const taken = this.model.state.unread.filter(({ role }) => role)[which]
    if (!taken) return
    this.#mailbox.drop(taken.id)
    this.model.change((state) => {
      state.unread = state.unread.filter(({ id }) => id !== taken.id)
    })
  }

  #changed = false

  /** The surfaced record says which mail is unread up to where; roles are settled elsewhere. */
  async #save(): Promise<void> {
    expect(await this.#mailbox.save(this.#memory.store, 'me', 1)).toBe(true)
    if (!this.#changed) return
    this.#changed = false
    const { unread, high } = this.model.state
    const seqs = unread.filter(({ role }) => !role).map(({ seq }) => seq)
    expect(this.#memory.record()).toMatchObject({ high, unread: seqs.toSorted((a, b) => a - b) })
  }

  async #crash(keep: number): Promise<void> {
    this.#mailbox.close()
    const size = statSync(this.#path).size
    const cut = this.#opened + Math.floor((size - this.#opened) * keep)
    truncateSync(this.#path, cut)
    this.model.restart(cut)
    this.#highArrived = this.model.state.high
    this.#mailbox = this.#open()
    const start = await this.#mailbox.load(this.#memory.store, 'me', 0)
    this.model.record = this.#memory.record()
    this.#changed = false
    this.#checkStart(start)
  }

  /** Reading begins early enough: nothing that was never read lies before. */
  #checkStart(start: number): void {
    const { record } = this.model
    if (!record) expect(start).toBe(1)
    else for (const seq of [...record.unread, record.high + 1]) expect(start).toBeLessThanOrEqual(seq)
  }

  check(): void {
    const { inbox } = this.#mailbox
    const { unread } = this.model.state
    const seen = inbox
      .unread()
      .map(({ envelope, seq, handover, repeat }) => ({ id: envelope.id, seq, handover, repeat }))
    const expected = unread.map(({ id, seq, handover, repeat }) => ({ id, seq, handover, repeat }))
    expect(seen.toSorted(byId)).toEqual(expected.toSorted(byId))
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map(({ seq }) => seq).toSorted((a, b) => a - b))
    for (let message = 0; message <= 15; message++) this.#checkMessage(message)
  }

  #checkMessage(message: number): void {
    const role = message % 5 === 0
    const envelope = envelopeOf(message, role)
    const { model } = this
    expect(this.#mailbox.inbox.knows(envelope.id)).toBe(model.knows(envelope.id))
    const isUnread = model.state.unread.some(({ id }) => id === envelope.id)
    for (const seq of [1, 5, 20]) {
      const byRecord = !role && model.record !== null && seq <= model.record.high && !model.record.unread.includes(seq)
      const expected = !isUnread && (model.state.read.includes(envelope.id) || byRecord)
      expect(this.#mailbox.isRead(seq, envelope)).toBe(expected)
    }
  }

  close(): void {
    this.#mailbox.close()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

function envelopeOf(message: number, role: boolean): Envelope {
  const from = { member: 'local', name: 'peer', epoch: 1 }
  const to = role ? 'role:work' : 'me'
  const id = `m_${message.toString(16).padStart(32, '0')}`
  const body = { text: `message ${message} – ünïcode` }
  return {
    v: 1,
    kind: 'message',
    id,
    project: 'p',
    from,
    to,
    seq: 1,
    sentAt: '2026-01-01T00:00:00.000Z',
    hops: 0,
    body,
  }
}

function byId(a: { id: string }, b: { id: string }): number {
  return a.id < b.id ? -1 : 1
}

test(`a mailbox agrees with its model over ${HISTORIES} histories`, { timeout: 120_000 }, async () => {
  const property = fc.asyncProperty(fc.array(mailCommand, { maxLength: COMMANDS }), async (commands) => {
    const world = new MailWorld()
    try {
      for (const command of commands) {
        await world.run(command)
        world.check()
      }
    } finally {
      world.close()
    }
  })
  await fc.assert(property, runs)
})

// --- outbox

const lanes = ['msg.a', 'msg.b', 'topic.t']

const sendCommand = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('put' as const), lane: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('stored' as const), which: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refused' as const), which: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lost' as const), back: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('epoch' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('crash' as const), keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
)
type SendCommand = typeof sendCommand extends fc.Arbitrary<infer C> ? C : never

interface Letter {
  id: string
  lane: string
  seq: number
  epoch: number
  state: 'waits' | 'flies' | number
}

interface SendState {
  letters: Letter[]
  epoch: number
  /** Letters written per lane in this epoch. */
  written: Record<string, number>
}

class SendWorld {
  state: SendState = { letters: [], epoch: 1, written: {} }
  #kept: { size: number; state: SendState }[] = []
  readonly #dir = freshDir()
  #journal!: Journal<OutboxStep>
  #outbox!: Outbox
  #ids = 0
  #position = 0

  constructor() {
    this.#open()
  }

  get #path(): string {
    return join(this.#dir, 'outbox.jsonl')
  }

  #open(): void {
    const { journal, steps } = Journal.open<OutboxStep>(this.#path)
    this.#journal = journal
    this.#outbox = new Outbox()
    for (const step of steps) this.#outbox.apply(step)
    this.#keep(true)
  }

  #keep(anew: boolean): void {
    const kept = { size: statSync(this.#path).size, state: structuredClone(this.state) }
    this.#kept = anew ? [kept] : [...this.#kept, kept]
  }

  #step(step: OutboxStep): void {
    this.#journal.append([step])
    this.#outbox.apply(step)
  }

  run(command: SendCommand): void {
    const { letters } = this.state
    const flying = letters.filter(({ state }) => state === 'flies')
    switch (command.do) {
      case 'put':
        this.#put(lanes[command.lane]!)
        break
      case 'take':
        this.#take()
        return
      case 'stored':
      case 'refused':
      case 'release':
        if (flying[command.which]) this.#settle(command.do, flying[command.which]!)
        break
      case 'lost':
        this.#lose(this.#position - command.back)
        return
      case 'epoch':
        this.state.epoch++
        this.state.written = {}
        return
      case 'compact':
        this.#journal.rewrite(this.#outbox.compact(0, Number.POSITIVE_INFINITY))
        this.#keep(true)
        return
      case 'crash':
        this.#crash(command.keep)
        return
    }
    this.#keep(false)
  }

  #put(lane: string): void {
    const { state } = this
    const seq = (state.written[lane] ?? 0) + 1
    expect(this.#outbox.nextSeq(state.epoch, lane)).toBe(seq)
    const id = `m_${this.#ids++}`
    this.#step({
      t: 'put',
      id,
      subject: lane,
      to: lane,
      seq,
      epoch: state.epoch,
      at: 1,
      envelope: `{"text":"ü ${id}"}`,
    })
    state.written[lane] = seq
    state.letters.push({ id, lane, seq, epoch: state.epoch, state: 'waits' })
  }

  /** The first waiting letter of every lane in which none flies. */
  #take(): void {
    const expected = lanes.flatMap((lane) => {
      const open = this.state.letters.filter((letter) => letter.lane === lane && typeof letter.state !== 'number')
      return open.some(({ state }) => state === 'flies') ? [] : open.slice(0, 1)
    })
    const taken = this.#outbox.take()
    expect(taken.map(({ id }) => id).sort()).toEqual(expected.map(({ id }) => id).sort())
    for (const letter of expected) letter.state = 'flies'
  }

  #settle(how: 'stored' | 'refused' | 'release', letter: Letter): void {
    if (how === 'release') {
      this.#outbox.release(letter.id)
      letter.state = 'waits'
    } else if (how === 'refused') {
      this.#step({ t: 'refused', id: letter.id })
      this.state.letters = this.state.letters.filter(({ id }) => id !== letter.id)
      // The last number of a lane is free again; a number in the middle is a hole.
      const isLast = letter.epoch === this.state.epoch && this.state.written[letter.lane] === letter.seq
      if (isLast) this.state.written[letter.lane] = letter.seq - 1
    } else {
      this.#step({ t: 'stored', id: letter.id, position: ++this.#position, at: 1 })
      letter.state = this.#position
    }
  }

  /** The stream went back: what it no longer has waits again, in its old place. */
  #lose(lastSeq: number): void {
    const lost = this.state.letters.filter(({ state }) => typeof state === 'number' && state > lastSeq)
    const beyond = this.#outbox.stored().filter(({ position }) => position! > lastSeq)
    expect(this.#outbox.lose(beyond).sort()).toEqual(lost.map(({ id }) => id).sort())
    for (const letter of lost) letter.state = 'waits'
    this.#position = Math.max(0, Math.min(this.#position, lastSeq))
  }

  #crash(keep: number): void {
    this.#journal.close()
    const from = this.#kept[0]!.size
    const cut = from + Math.floor((statSync(this.#path).size - from) * keep)
    truncateSync(this.#path, cut)
    this.state = structuredClone(this.#kept.findLast(({ size }) => size <= cut)!.state)
    // Nothing flies after a start, and a new start is a new epoch.
    for (const letter of this.state.letters) if (letter.state === 'flies') letter.state = 'waits'
    this.state.epoch++
    this.state.written = {}
    this.#open()
  }

  check(): void {
    const { letters, epoch, written } = this.state
    const open = letters.filter(({ state }) => typeof state !== 'number')
    const waiting = this.#outbox.waiting()
    for (const lane of lanes) {
      const ids = (all: { id: string }[]) => all.map(({ id }) => id)
      expect(ids(waiting.filter(({ subject }) => subject === lane))).toEqual(
        ids(open.filter((one) => one.lane === lane)),
      )
      expect(this.#outbox.nextSeq(epoch, lane)).toBe((written[lane] ?? 0) + 1)
    }
    expect(this.#outbox.size).toBe(open.length)
    for (const { id, seq, state } of letters) {
      const sent = this.#outbox.get(id)
      expect(sent).toMatchObject({ position: typeof state === 'number' ? state : null, message: { seq } })
      expect(Buffer.from(sent!.message.bytes).toString()).toBe(`{"text":"ü ${id}"}`)
    }
    const stored = letters.flatMap(({ state }) => (typeof state === 'number' ? state : []))
    expect(this.#outbox.stored().map(({ position }) => position)).toEqual(stored.toSorted((a, b) => b - a))
  }

  close(): void {
    this.#journal.close()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

test(`an outbox agrees with its model over ${HISTORIES} histories`, { timeout: 120_000 }, () => {
  const property = fc.property(fc.array(sendCommand, { maxLength: COMMANDS }), (commands) => {
    const world = new SendWorld()
    try {
      for (const command of commands) {
        world.run(command)
        world.check()
      }
    } finally {
      world.close()
    }
  })
  fc.assert(property, runs)
})
