/** Random histories of a mailbox against a tiny model that knows nothing of journals, crashes included. */
import { rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Mailbox } from '../../../../src/daemon/mail/mailbox.ts'
import type { Logger } from '../../../../src/host/log.ts'
import type { ProjectStore } from '../../../../src/nats/project-store.ts'
import type { Envelope, Surfaced } from '../../../../src/wire/envelope.schema.ts'
import { COMMANDS, freshDirs, HISTORIES, runs } from './histories.ts'
import { MailModel, type MailState } from './mailbox-model.ts'

const freshDir = freshDirs()
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
