/**
 * What reached the model in a scripted hour is counted: 10 messages to the idle session, 30 between its tool calls, 3
 * compactions, and turns without mail. The time is compressed, the events are not: what mesh says depends on them alone.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { table } from '../../bench/lab/row.ts'
import { submit } from '../support/client.ts'
import { Counter, type Piece, tokens } from '../support/count.ts'
import { eventually } from '../support/eventually.ts'
import { Life } from '../support/life.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const HOUR_MS = 600_000
const BUDGET = { start: 300, message: 60 }
const PARTS = 3
const MID_TURN = 10
const IDLE = [4, 3, 3]
const SILENT_CALLS = 5
/** Fills the context window of the model that the client picks: it compacts before the next prompt. */
const FULL_TOKENS = 990_000

const suite = useSuite()
const life = new Life(suite)
type Session = Awaited<ReturnType<typeof life.start>>

/** The bodies of what was sent, by the word that stands in them. */
const sent = new Map<string, string>()

async function tell(session: Session, word: string): Promise<void> {
  const text = `${word}: the schema landed on main, the old column is gone`
  sent.set(word, text)
  await suite.mesh.send(session.name, text)
}

/** A message to the idle session starts a turn. */
async function wake(session: Session, word: string): Promise<void> {
  await tell(session, word)
  await eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
  await suite.mesh.reaches(session.pid, 'idle')
}

/** One turn of tool calls, with a message during each. */
async function work(session: Session, part: number): Promise<void> {
  const { lab, mesh, model } = suite
  const go = (i: number) => `go-${part}-${i}`
  const calls = Array.from({ length: MID_TURN }, (_, i) =>
    bash(`until [ -e ${go(i)} ]; do sleep 0.05; done; rm ${go(i)}`),
  )
  model.script(`work-${part}`, [...calls.map((call) => ({ call: [call] })), { say: 'done' }])
  await submit(session, `play work-${part}`)
  for (let i = 0; i < MID_TURN; i++) {
    await mesh.reaches(session.pid, 'busy')
    const word = `mid-${part}-${i}-x`
    await tell(session, word)
    await mesh.waiting(session.pid, word)
    writeFileSync(join(lab.project, go(i)), '')
    await eventually(`the model reads ${word}`, () => model.saw(word)[0])
  }
  await mesh.reaches(session.pid, 'idle')
  for (let i = 0; i < MID_TURN; i++) rmSync(join(lab.project, go(i)), { force: true })
}

/** A turn without mail. Returns the numbers of its requests. */
async function silence(session: Session, part: number): Promise<number[]> {
  const { mesh, model } = suite
  const name = `silent-${part}`
  const calls = Array.from({ length: SILENT_CALLS }, (_, i) => ({ call: [bash(`echo quiet ${part} ${i}`)] }))
  model.script(name, [...calls, { say: `quiet ${part}` }])
  const before = model.requests.length
  await submit(session, `play ${name}`)
  await eventually('the turn is over', () =>
    model.requests.some(({ fresh }) => fresh.includes(`quiet ${part} ${SILENT_CALLS - 1}`)),
  )
  await mesh.reaches(session.pid, 'idle')
  return model.requests.slice(before).map(({ n }) => n)
}

async function compact(session: Session, part: number): Promise<void> {
  const { model } = suite
  if (part === PARTS - 1) {
    // By itself, before the next prompt.
    model.script('fill', [{ say: 'filled', inputTokens: FULL_TOKENS }])
    await life.say(session, 'play fill')
    return
  }
  const before = model.requests.length
  await submit(session, '/compact')
  await eventually('a summary', () => model.requests.length > before)
  await eventually('it is compacted', () => /compacted/i.test(session.screen()))
  await suite.mesh.reaches(session.pid, 'idle')
}

interface Line {
  what: string
  /** Characters of ours, each time. */
  ours: number[]
  /** Characters that the client put around them. */
  wrappers: number
}

const most = ({ ours }: Line) => tokens(Math.max(0, ...ours))
const sum = (chars: readonly number[]) => chars.reduce((all, one) => all + one, 0)

function lineOf(what: string, pieces: readonly Piece[]): Line {
  return { what, ours: pieces.map(({ text }) => text.length), wrappers: sum(pieces.map(({ wrapper }) => wrapper)) }
}

/** What is ours without the words of the peer. */
function around(what: string, handovers: readonly Piece[]): Line {
  const bodies = new RegExp([...sent.values()].join('|'), 'g')
  return lineOf(
    what,
    handovers.map((piece) => ({ ...piece, text: piece.text.replaceAll(bodies, '') })),
  )
}

function print(lines: readonly Line[]): void {
  const rows = lines.map((line) => {
    const { what, ours, wrappers } = line
    const each = ours.length === 0 ? 0 : Math.round(tokens(wrappers) / ours.length)
    return [what, ...[ours.length, most(line), tokens(sum(ours)), each, tokens(wrappers)].map(String)]
  })
  const titles = ['tokens in a scripted hour', 'times', 'ours, at most', 'in all', "the client's, each", 'in all']
  console.log(table([titles, ...rows]).join('\n'))
}

/** Counts all that reached the model. `silent`: the requests of turns without mail, in which nothing may have. */
function count(requests: readonly ModelRequest[], silent: ReadonlySet<number>): Piece[] {
  const counter = new Counter()
  return requests.flatMap((request) => {
    const { pieces, rest } = counter.see(request)
    if (silent.has(request.n)) expect(pieces, 'a turn without mail').toEqual([])
    // Nothing of ours but what is counted.
    expect(rest).not.toMatch(/mesh/i)
    return pieces
  })
}

describe.skipIf(missing)('a scripted hour', () => {
  test(
    'ten wakes, thirty messages in mid-turn, three compactions: each within its budget, nothing while silent',
    async () => {
      const session = await life.start()
      await life.say(session, 'good morning')
      const silent = new Set<number>()
      for (let part = 0; part < PARTS; part++) {
        for (let i = 0; i < IDLE[part]!; i++) await wake(session, `wake-${part}-${i}-x`)
        await work(session, part)
        for (const n of await silence(session, part)) silent.add(n)
        await compact(session, part)
        await life.say(session, `after compaction ${part}`)
      }
      await life.end(session)

      const requests = suite.model.requests.filter(({ auxiliary }) => !auxiliary)
      const pieces = count(requests, silent)
      const starts = pieces.filter(({ kind }) => kind === 'start')
      const of = (word: string) => pieces.filter(({ kind, text }) => kind === 'hand-over' && text.includes(word))
      const [idle, busy] = [of('wake-'), of('mid-')]
      // Every message came once, in a hand-over of its own.
      for (const word of sent.keys()) expect(of(word), word).toHaveLength(1)
      expect([idle.length, busy.length, starts.length]).toEqual([10, 30, 1 + PARTS])
      expect(pieces).toHaveLength(10 + 30 + 1 + PARTS)
      expect(silent.size).toBe(PARTS * (SILENT_CALLS + 1))

      const start = lineOf('start text: at the start and after each compaction', starts)
      const messages = [
        around('around a message that wakes the idle session', idle),
        around('around a message between two tool calls', busy),
      ]
      print([start, ...messages, lineOf(`in the ${silent.size} requests of turns without mail`, [])])
      expect(most(start)).toBeLessThanOrEqual(BUDGET.start)
      for (const line of messages) expect(most(line)).toBeLessThanOrEqual(BUDGET.message)
    },
    HOUR_MS,
  )
})

testNothingLeft(suite)
