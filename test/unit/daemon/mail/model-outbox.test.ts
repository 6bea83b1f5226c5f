/** Random histories of an outbox against a tiny model that knows nothing of journals, crashes included. */
import { rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Outbox, type OutboxStep } from '../../../../src/core/mail/outbox.ts'
import { Journal } from '../../../../src/host/journal.ts'
import { COMMANDS, freshDirs, HISTORIES, runs } from './histories.ts'

const freshDir = freshDirs()

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
        this.#journal.rewrite(this.#outbox.compact(0))
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
