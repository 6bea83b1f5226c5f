/** When the state of a session is given again. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Courier } from '../../../../src/daemon/delivery/courier.ts'
import { Context } from '../../../../src/daemon/delivery/state-context.ts'
import { LedgerBook } from '../../../../src/daemon/disk/ledger-book.ts'
import { Mailbox } from '../../../../src/daemon/mail/mailbox.ts'
import { HookDoor } from '../../../../src/harness/claude-code/doors/hook.ts'
import { createLogger } from '../../../../src/host/log.ts'
import type { StateDocument } from '../../../../src/wire/state.schema.ts'
import { alone } from '../../../support/alone.ts'

const AT = Date.parse('2026-11-20T10:00:00.000Z')
const log = createLogger('silent', () => {})
const entry = (key: string, value: string, by = 'api') => ({ key, value, rev: 1, at: new Date(AT).toISOString(), by })
const documentOf = (...entries: ReturnType<typeof entry>[]): StateDocument => ({
  ...{ v: 1, kind: 'state_document', entries, notes: [] },
})

let dir: string
let book: LedgerBook
let telling: Context
let courier: Courier
let mailbox: Mailbox
let document: StateDocument
let followed: string[]
const tokenIn = (text: string) => /<(mesh-[0-9a-f]{8})>/.exec(text)![1]!
const mail = () => {
  try {
    return JSON.parse(readFileSync(join(dir, 'run', 'mail'), 'utf8')) as string
  } catch {
    return ''
  }
}

function makeTelling(wasRead = false): Context {
  return new Context({
    record: { name: 'api' },
    storage: { ledger: book },
    state: {
      get document() {
        return document
      },
    },
    obligations: { list: () => [] },
    harness: { follow: (token) => void followed.push(token), wasRead: () => wasRead },
    beginnings: { keptWasRead: async () => {} },
    poke: () => courier.poke(),
  })
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  dir = mkdtempSync(join(tmpdir(), 'mesh-telling-'))
  mkdirSync(join(dir, 'run'))
  book = LedgerBook.open(dir, log)
  mailbox = Mailbox.open(dir, log)
  document = documentOf(entry('plan', 'parser first'))
  followed = []
  telling = makeTelling()
  courier = new Courier({
    ...{ harness: { doors: [new HookDoor(join(dir, 'run'))] }, settings: { floorSeconds: 0 }, log, ...alone },
    steps: { noteAll: () => {} },
    context: telling,
    surfaced: () => {},
  })
  courier.attach(mailbox)
})
afterEach(() => {
  vi.useRealTimers()
  courier.detach()
  book.close()
  mailbox.close()
  rmSync(dir, { recursive: true })
})

test('a conversation that lost its context is given the state, one that did not is not', () => {
  for (const source of ['compact', 'resume', 'clear'] as const)
    expect(telling.begin(source)).toContain('plan: parser first')
  for (const source of ['startup', 'fork', null] as const) expect(telling.begin(source)).toBe('')
  document = documentOf()
  expect(telling.begin('compact')).toBe('')
})

test('a text that was seen to be read is not given again', async () => {
  const token = tokenIn(telling.begin('compact'))
  expect(followed).toEqual([token])
  telling.onStatus('busy')
  expect(telling.evidence('mesh-other', 'surfaced')).toBe(false)
  expect(telling.evidence(token, 'surfaced')).toBe(true)
  await vi.advanceTimersByTimeAsync(60_000)
  expect([telling.isDue, mail()]).toEqual([false, ''])
})

test('without a sign that a turn read it, the hooks give it as it is then, until it is read', async () => {
  telling.begin('compact')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(mail()).toBe('')
  telling.onStatus('busy')
  courier.status = 'busy'
  document = documentOf(entry('plan', 'docs first'))
  await vi.advanceTimersByTimeAsync(3100)
  expect(mail()).toContain('plan: docs first')
  const token = tokenIn(mail())
  rmSync(join(dir, 'run', 'mail'))
  courier.evidence(token, 'surfaced', 'transcript')
  await vi.advanceTimersByTimeAsync(60_000)
  expect([telling.isDue, mail()]).toEqual([false, ''])
})

test('a client that is busy without a turn, as while it starts, has read nothing yet', async () => {
  telling.begin('resume')
  telling.onStatus('busy')
  await vi.advanceTimersByTimeAsync(1000)
  telling.onStatus('idle')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(telling.isDue).toBe(false)
  telling.onStatus('busy')
  await vi.advanceTimersByTimeAsync(500)
  telling.onTurnEnded()
  telling.onStatus('idle')
  await vi.advanceTimersByTimeAsync(1100)
  expect(telling.isDue).toBe(true)
})

test('a compaction within a turn is read in that turn', async () => {
  telling.onStatus('busy')
  telling.begin('compact')
  await vi.advanceTimersByTimeAsync(3100)
  expect(telling.isDue).toBe(true)
})

test('a late sign takes the file back', async () => {
  const token = tokenIn(telling.begin('clear'))
  telling.onStatus('busy')
  courier.status = 'busy'
  await vi.advanceTimersByTimeAsync(3100)
  expect(mail()).toContain('parser first')
  telling.evidence(token, 'surfaced')
  await vi.advanceTimersByTimeAsync(10)
  expect(mail()).toBe('')
})

test('a sidecar that is started again goes on waiting for the sign, unless it is there', () => {
  const token = tokenIn(telling.begin('compact'))
  const again = makeTelling()
  again.resume()
  expect(followed).toEqual([token, token])
  expect(again.evidence(token, 'surfaced')).toBe(true)
  expect(book.ledger.given).toBe(null)
  telling.begin('compact')
  makeTelling(true).resume()
  expect(book.ledger.given).toBe(null)
})
