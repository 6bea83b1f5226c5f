/** What the courier tells of messages and does with them, whatever the client shows: with a real journal and a client's clock. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Courier } from '../../../../src/daemon/delivery/courier.ts'
import { Mailbox } from '../../../../src/daemon/mail/mailbox.ts'
import type { Door, Recalled } from '../../../../src/harness/types.ts'
import { createLogger } from '../../../../src/host/log.ts'
import type { Envelope, SessionStatus } from '../../../../src/wire/envelope.schema.ts'
import { times } from '../../../../src/wire/limits.ts'
import { alone } from '../../../support/alone.ts'
import { unsigned } from '../../../support/samples.ts'

const log = createLogger('silent', () => {})

/** A door that keeps what is offered. One that is a file gives it back until it is taken. */
class KeptDoor implements Door {
  readonly offers: { text: string; token: string }[] = []
  readonly name
  readonly reaches
  lying = ''

  constructor(name: Door['name'], reaches: SessionStatus[]) {
    this.name = name
    this.reaches = reaches
  }

  available(): boolean {
    return true
  }

  lies(token: string): boolean {
    return this.lying === token
  }

  async offer(text: string, token: string): Promise<void> {
    this.offers.push({ text, token })
    if (this.name === 'hook') this.lying = token
  }

  async withdraw(): Promise<boolean> {
    const lay = this.lying !== ''
    this.lying = ''
    return lay
  }
}

let dir: string
let mailbox: Mailbox
let courier: Courier
let hook: KeptDoor
let socket: KeptDoor
let told: string[]
let recalled: Recalled

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
  dir = mkdtempSync(join(tmpdir(), 'mesh-courier-'))
  recalled = { state: 'lost', evidence: '' }
  told = []
  open()
})
afterEach(() => {
  vi.useRealTimers()
  courier.detach()
  mailbox.close()
  rmSync(dir, { recursive: true })
})

function open(): void {
  mailbox = Mailbox.open(dir, log)
  hook = new KeptDoor('hook', ['busy', 'waiting'])
  socket = new KeptDoor('inbox-socket', ['idle'])
  courier = new Courier({
    harness: { doors: [hook, socket], recall: (offers) => offers.map(() => recalled) },
    ...{ settings: { floorSeconds: 30 }, log, ...alone },
    steps: { noteAll: (entries, state, evidence) => void told.push(`${entries.length} ${state}: ${evidence}`) },
    surfaced: (entries) => void told.push(`${entries.length} surfaced`),
  })
  courier.status = 'idle'
  courier.attach(mailbox)
}

/** The sidecar dies and another takes its place. */
async function restart(found: Recalled): Promise<void> {
  courier.detach()
  mailbox.close()
  recalled = found
  open()
  await pass(0)
}

let count = 0
async function arrive(text = 'hi'): Promise<void> {
  const seq = ++count
  const id = `m_${String(seq).padStart(32, '0')}`
  const envelope = { ...unsigned({ id, seq, body: { text } }), sig: '' } as Envelope
  mailbox.arrive({ seq, verified: true, envelope }, Date.now())
  courier.poke()
  await pass(0)
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
async function status(now: SessionStatus): Promise<void> {
  courier.status = now
  await pass(0)
}
const offered = () => socket.offers.at(-1)!
async function shows(state: Parameters<Courier['evidence']>[1], evidence = 'seen'): Promise<void> {
  courier.evidence(offered().token, state, evidence)
  await pass(0)
}
const isMarked = ({ text }: { text: string }) => text.includes('possible repeat')

test('what an idle client read and dropped is offered again, with another token and no mark', async () => {
  await arrive()
  await shows('received')
  await pass(times.handedEvidence)
  expect(courier.shut).toEqual(['inbox-socket'])
  expect(told[0]).toMatch(/^1 delivered: waits: the client did not take it/)
  await pass(30_000)
  expect(socket.offers).toHaveLength(2)
  expect(isMarked(offered())).toBe(false)
  expect(socket.offers[0]!.token).not.toBe(offered().token)
  await shows('handed')
  await shows('surfaced')
  expect(told.slice(-2)).toEqual(['1 handed: seen', '1 surfaced'])
  expect(courier.shut).toEqual([])
})

test('what a client did not even read in time is offered again, marked, and settled by late evidence', async () => {
  await arrive()
  const [first] = socket.offers
  await pass(times.receivedEvidence - 1)
  expect(socket.offers).toHaveLength(1)
  await pass(20_000)
  expect(socket.offers).toHaveLength(2)
  expect(isMarked(offered())).toBe(true)
  courier.evidence(first!.token, 'surfaced', 'late')
  expect(mailbox.inbox.size).toBe(0)
})

test('held: told with the reason, nothing is pushed meanwhile, denied it goes with the next prompt, unmarked', async () => {
  await arrive('first')
  await shows('received')
  await status('waiting')
  await shows('held', 'held by the client: why')
  expect(told).toEqual(['1 held: held by the client: why'])
  await arrive('second')
  await pass(3_600_000)
  expect([socket.offers.length, hook.offers.length]).toEqual([1, 0])
  expect(told.at(-1)).toMatch(/^1 delivered: waits: .*permission prompt/)
  await status('idle')
  await pass(times.screenedEvidence)
  expect(told.find((line) => line.includes('did not let it in'))).toMatch(/^1 delivered: waits: the person/)
  expect(socket.offers).toHaveLength(1)
  expect(hook.offers.at(-1)!.text).toMatch(/first[\s\S]*second/)
  expect(isMarked(hook.offers.at(-1)!)).toBe(false)
  // Not before the person again and again.
  await pass(times.screenedShut / 2)
  expect(socket.offers).toHaveLength(1)
  courier.evidence(socket.offers[0]!.token, 'surfaced', 'let in after all')
  expect(mailbox.inbox.unread().map(({ envelope }) => envelope.body)).toEqual([{ text: 'second' }])
})

test('held and let in: handed, then surfaced', async () => {
  await arrive()
  await status('waiting')
  await shows('held')
  await status('idle')
  await shows('handed', 'enqueue')
  await status('busy')
  await shows('surfaced')
  await pass(times.screenedEvidence * 2)
  expect(told).toEqual(['1 held: seen', '1 handed: enqueue', '1 surfaced'])
})

test('kept back by a setting it stays told as held', async () => {
  await arrive()
  await shows('held')
  await pass(times.screenedEvidence)
  expect(told.every((line) => line.startsWith('1 held'))).toBe(true)
  await pass(60_000)
  expect(told.every((line) => line.startsWith('1 held'))).toBe(true)
  expect(hook.offers).toHaveLength(1)
})

test('a prompt that another hook blocked is not tried again and again', async () => {
  await arrive()
  await shows('handed', 'UserPromptSubmit hook')
  await shows('refused', 'another hook blocked it')
  await pass(times.screenedShut / 2)
  expect(socket.offers).toHaveLength(1)
  expect(told).toContain('1 delivered: waits: another hook blocked it')
})

test('read and not answered when the conversation is cleared: unread again, marked, once', async () => {
  await arrive()
  await shows('surfaced')
  courier.forgotten()
  await pass(0)
  expect(told.at(-1)).toMatch(/^1 delivered: unread again/)
  expect(isMarked(offered())).toBe(true)
  await shows('surfaced')
  await shows('answered')
  courier.forgotten()
  expect(mailbox.inbox.size).toBe(0)
})

test.each<[Recalled['state'], string]>([
  ['lost', 'offered again, marked'],
  ['surfaced', 'settled'],
  ['handed', 'waited for, then offered again, marked'],
  ['open', 'waited for'],
])('after a restart, a hand-over that was %s is %s', async (state) => {
  await arrive()
  const { token } = offered()
  await restart({ state, evidence: 'seen' })
  if (state === 'lost') return expect([socket.offers.length, isMarked(offered())]).toEqual([1, true])
  expect(socket.offers).toEqual([])
  if (state === 'surfaced') return expect(told.at(-1)).toBe('1 surfaced')
  expect(mailbox.inbox.deliverable()).toEqual([])
  if (state === 'handed') {
    await pass(times.surfacedEvidence + 30_000)
    expect(isMarked(offered())).toBe(true)
  }
  courier.evidence(token, 'surfaced', 'seen')
  expect(mailbox.inbox.size).toBe(0)
})

test('what lies in the mail file at the end was certainly not read', async () => {
  await status('busy')
  await arrive()
  expect(hook.lying).not.toBe('')
  await courier.recallOffer()
  await restart({ state: 'lost', evidence: '' })
  expect(isMarked(offered())).toBe(false)
})

test('why it waits is told once per reason, and not of what goes at once', async () => {
  await arrive()
  await shows('surfaced')
  await status('waiting')
  await arrive()
  await pass(times.waitShown - 1)
  expect(told).toEqual(['1 surfaced'])
  await pass(1)
  expect(told.at(-1)).toMatch(/permission prompt/)
  for (const now of ['busy', 'waiting', 'busy', 'waiting'] as const) await status(now)
  await pass(60_000)
  expect(told.filter((line) => line.includes('permission prompt'))).toHaveLength(1)
})

/** A turn takes what lies in a door, ends with words of the model's, and no transcript shows anything of it. */
async function turnWithout(door: KeptDoor): Promise<void> {
  const { token } = door.offers.at(-1)!
  door.lying = ''
  courier.evidence(token, 'handed', 'the prompt of a turn')
  await status('busy')
  courier.turnEnded()
  await status('idle')
  await pass(times.surfacedEvidence + 1)
}

test('a turn without a transcript is not repeated: once more with the next prompt, and then it lies in the inbox', async () => {
  await arrive()
  await shows('received')
  await turnWithout(socket)
  expect(told).toContain('1 handed: handed, no transcript to prove it')
  await pass(3_600_000)
  expect([socket.offers.length, hook.offers.length]).toEqual([1, 1])
  expect(isMarked(hook.offers[0]!)).toBe(true)
  // With the next prompt, which leaves no transcript either.
  await turnWithout(hook)
  await pass(3_600_000)
  expect([socket.offers.length, hook.offers.length]).toEqual([1, 1])
  expect(mailbox.inbox.unread()).toHaveLength(1)
  await restart({ state: 'lost', evidence: '' })
  await arrive('another')
  expect(offered().text).toContain('another')
  expect(offered().text).not.toContain('possible repeat')
})

test('a transcript that shows it late settles what was doubted', async () => {
  await arrive()
  await shows('received')
  await turnWithout(socket)
  courier.evidence(offered().token, 'surfaced', 'late')
  await pass(0)
  expect(told.at(-1)).toBe('1 surfaced')
  expect(mailbox.inbox.unread()).toEqual([])
})
