/** The courier with a real journal and the real file of the hook door. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Courier } from '../../../../src/daemon/delivery/courier.ts'
import { Mailbox } from '../../../../src/daemon/mail/mailbox.ts'
import { HookDoor } from '../../../../src/harness/claude-code/doors/hook.ts'
import { createLogger } from '../../../../src/host/log.ts'
import type { Envelope } from '../../../../src/wire/envelope.schema.ts'
import { limits } from '../../../../src/wire/limits.ts'
import { alone } from '../../../support/alone.ts'
import { unsigned } from '../../../support/samples.ts'

const log = createLogger('silent', () => {})
let dir: string
let mailbox: Mailbox
let courier: Courier
let surfaced: string[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-courier-'))
  mkdirSync(join(dir, 'run'))
  mailbox = Mailbox.open(dir, log)
  surfaced = []
  courier = new Courier({
    ...{ harness: { doors: [new HookDoor(join(dir, 'run'))] }, settings: { floorSeconds: 30 }, log, ...alone },
    steps: { noteAll: () => {} },
    surfaced: (entries) => void surfaced.push(...entries.map(({ envelope }) => envelope.id)),
  })
  courier.attach(mailbox)
  courier.status = 'busy'
})
afterEach(() => {
  courier.detach()
  mailbox.close()
  rmSync(dir, { recursive: true })
})

let count = 0
function arrive(text = 'hi'): string {
  const seq = ++count
  const id = `m_${String(seq).padStart(32, '0')}`
  mailbox.arrive(
    { seq, verified: true, envelope: { ...unsigned({ id, seq, body: { text } }), sig: '' } as Envelope },
    seq,
  )
  courier.poke()
  return id
}
const mail = () => join(dir, 'run', 'mail')
const shown = () => (existsSync(mail()) ? (JSON.parse(readFileSync(mail(), 'utf8')) as string) : '')
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('more than fits into one hand-over waits for the next, and the file is left alone', async () => {
  for (let i = 0; i < limits.shownMessages + 5; i++) arrive()
  await expect.poll(shown).toContain('5 more')
  const { ino } = statSync(mail())
  const lines = readFileSync(join(dir, 'journal.jsonl'), 'utf8').length
  for (let i = 0; i < 50; i++) {
    courier.poke()
    await settled()
  }
  expect(statSync(mail()).ino).toBe(ino)
  expect(readFileSync(join(dir, 'journal.jsonl'), 'utf8')).toHaveLength(lines)
})

test('a waiting call gets mail that lies untaken in the file', async () => {
  const id = arrive('for you')
  await expect.poll(shown).toContain('for you')
  const { entries } = await courier.await({ kind: 'any' }, new AbortController().signal)
  expect(entries.map(({ envelope }) => envelope.id)).toEqual([id])
  expect(existsSync(mail())).toBe(false)
})

test('a call that waits for another message leaves the file; mail that a hook took is not given again', async () => {
  arrive('for you')
  await expect.poll(shown).toContain('for you')
  const other = new AbortController()
  const waiting = courier.await({ kind: 'from', name: 'somebody' }, other.signal)
  await settled()
  expect(shown()).toContain('for you')
  other.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'timeout' })
  renameSync(mail(), join(dir, 'taken'))
  const late = new AbortController()
  const nothing = courier.await({ kind: 'any' }, late.signal)
  await settled()
  late.abort()
  await expect(nothing).rejects.toMatchObject({ code: 'timeout' })
})

test('mesh inbox gets mail that lies untaken in the file', async () => {
  const ids = [arrive('one'), arrive('two')]
  await expect.poll(shown).toContain('two')
  const taken = await courier.take(10, true)
  expect(taken!.entries.map(({ envelope }) => envelope.id)).toEqual(ids)
  expect(existsSync(mail())).toBe(false)
  courier.confirm(taken!.handover, 'printed')
  expect(surfaced).toEqual(ids)
  expect(await courier.take(10, true)).toBeNull()
})

test('while a person has the floor what lies in the file stays there, and goes with the prompt', async () => {
  courier.interrupted(true)
  courier.status = 'idle'
  arrive('later')
  await expect.poll(shown).toContain('later')
  expect(courier.isFree).toBe(false)
  courier.status = 'busy'
  await settled()
  expect(shown()).toContain('later')
})
