/** A full disk keeps the courier from noting what became of mail. It does not end the sidecar, and nothing stays that way. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Door } from '../../../../src/harness/types.ts'
import { createLogger } from '../../../../src/host/log.ts'
import type { Envelope } from '../../../../src/wire/envelope.schema.ts'
import { times } from '../../../../src/wire/limits.ts'
import { alone } from '../../../support/alone.ts'
import { unsigned } from '../../../support/samples.ts'

const disk = vi.hoisted(() => ({ isFull: false }))
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const writeSync = (...args: Parameters<typeof fs.writeSync>) => {
    if (disk.isFull) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    return fs.writeSync(...args)
  }
  return { ...fs, writeSync }
})
const { Courier } = await import('../../../../src/daemon/delivery/courier.ts')
const { Mailbox } = await import('../../../../src/daemon/mail/mailbox.ts')

const log = createLogger('silent', () => {})
const ID = `m_${'0'.repeat(32)}`
const tokens: string[] = []
const socket: Door = {
  ...{ name: 'inbox-socket', reaches: ['idle'], available: () => true, lies: () => false, withdraw: async () => false },
  offer: async (_text, token) => void tokens.push(token),
}
let dir: string
let mailbox: ReturnType<typeof Mailbox.open>
let courier: InstanceType<typeof Courier>

function open(doors: Door[]): void {
  courier = new Courier({
    ...alone,
    ...{ harness: { doors }, settings: { floorSeconds: 0 }, log, steps: { noteAll: () => {} } },
    poke: () => courier.poke(),
    surfaced: () => {},
  })
  courier.status = 'idle'
  courier.attach(mailbox)
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
  dir = mkdtempSync(join(tmpdir(), 'mesh-full-disk-'))
  tokens.length = 0
  mailbox = Mailbox.open(dir, log)
  const envelope = { ...unsigned({ id: ID, seq: 1, body: { text: 'hi' } }), sig: 's' } as Envelope
  mailbox.arrive({ seq: 1, verified: true, envelope }, Date.now())
})
afterEach(() => {
  disk.isFull = false
  vi.useRealTimers()
  courier.detach()
  mailbox.close()
  rmSync(dir, { recursive: true })
})

test('full disk - mail of a reader that never confirms is unread again once there is room', async () => {
  open([])
  await courier.take(10, true)
  disk.isFull = true
  await vi.advanceTimersByTimeAsync(11_000)
  expect(mailbox.inbox.deliverable()).toEqual([])
  disk.isFull = false
  await vi.advanceTimersByTimeAsync(2000)
  expect(mailbox.inbox.deliverable()).toMatchObject([{ repeat: true }])
})

test('full disk - a message that the transcript shows counts as read once there is room', async () => {
  open([socket])
  await vi.advanceTimersByTimeAsync(10)
  disk.isFull = true
  expect(() => courier.evidence(tokens[0]!, 'surfaced', 'in the transcript')).not.toThrow()
  expect(mailbox.inbox.size).toBe(1)
  disk.isFull = false
  await vi.advanceTimersByTimeAsync(2000)
  expect(mailbox.inbox.size).toBe(0)
})

test('full disk - a hand-over that nothing came of is unread again once there is room', async () => {
  open([socket])
  await vi.advanceTimersByTimeAsync(10)
  disk.isFull = true
  await vi.advanceTimersByTimeAsync(times.screenedShut)
  expect(mailbox.inbox.deliverable()).toEqual([])
  disk.isFull = false
  await vi.advanceTimersByTimeAsync(2000)
  expect([...mailbox.inbox.unread()]).toMatchObject([{ repeat: true }])
})

test('full disk - a reader that cannot be noted to have read is told so, and its mail is not lost', async () => {
  open([])
  const taken = await courier.take(10, true)
  disk.isFull = true
  expect(() => courier.confirm(taken!.handover, 'printed')).toThrow()
  disk.isFull = false
  expect(courier.confirm(taken!.handover, 'printed')).toBe(1)
})
