/** The mailbox and the surfaced record in an engine of the test's own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Mailbox } from '../../../../src/daemon/mail/mailbox.ts'
import { createLogger } from '../../../../src/host/log.ts'
import type { ProjectStore } from '../../../../src/nats/project-store.ts'
import type { Envelope, NameRecord, Surfaced } from '../../../../src/wire/envelope.schema.ts'
import { unsigned } from '../../../support/samples.ts'

const idOf = (seq: number) => `m_${String(seq).padStart(32, '0')}`
let dir: string
let mailbox: Mailbox

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-mailbox-'))
  mailbox = Mailbox.open(
    dir,
    createLogger('silent', () => {}),
  )
  for (const seq of [1, 2]) {
    const envelope = { ...unsigned({ id: idOf(seq), seq }), sig: 's' } as Envelope
    mailbox.arrive({ seq, envelope, verified: true }, 0)
  }
})
afterEach(() => {
  mailbox.close()
  rmSync(dir, { recursive: true })
})

/** Answers each write when the test says so. */
function slowStore() {
  const written: { value: Surfaced; answer(revision: number | null): void }[] = []
  const update = (_name: string, value: Surfaced) =>
    new Promise<number | null>((resolve) => written.push({ value, answer: resolve }))
  const look = async () => ({ value: null, revision: 0, isThere: false })
  return { written, store: { surfaced: { update, look } } as unknown as ProjectStore }
}

test('surfaced record - a save that comes while another is under way waits until what it saves is written', async () => {
  const { written, store } = slowStore()
  mailbox.surface([idOf(1)], 0)
  const first = mailbox.save(store, 'api', 1)
  mailbox.surface([idOf(2)], 0)
  let isSaved = false
  const second = mailbox.save(store, 'api', 1).then(() => {
    isSaved = true
  })
  await expect.poll(() => written.length).toBe(1)
  expect(isSaved).toBe(false)
  written[0]!.answer(1)
  await expect.poll(() => written.length).toBe(2)
  expect(isSaved).toBe(false)
  written[1]!.answer(2)
  await Promise.all([first, second])
  expect(written[1]!.value).toMatchObject({ high: 2, unread: [] })
})

test('surfaced record - one that changes all the time is not fenced for ever', async () => {
  const look = async () => ({ value: null, revision: 0, isThere: false })
  const store = { surfaced: { update: async () => null, look } } as unknown as ProjectStore
  const record = { name: 'api', epoch: 2, since: 0 } as NameRecord
  await expect(mailbox.fence(store, record)).rejects.toMatchObject({ code: 'conflict' })
})
