/** The memory of a sender does not grow with what it has sent. */
import { expect, test } from 'vitest'
import { Outbox } from '../../../../src/core/mail/outbox.ts'

const KIB = 1024

function put(outbox: Outbox, n: number, bytes: number): string {
  const id = `m_${n}`
  const fields = { subject: 'msg.a', to: 'a', seq: n, epoch: 1, at: n }
  outbox.apply({ t: 'put', id, ...fields, envelope: 'x'.repeat(bytes) })
  return id
}

test('outbox - of 20,000 sent messages the newest stay, within the bytes given; what waits always stays', () => {
  const outbox = new Outbox(64 * KIB)
  const waits = put(outbox, 1, 10 * KIB)
  for (let n = 2; n <= 20_000; n++) outbox.apply({ t: 'stored', id: put(outbox, n, 500), position: n, at: n })
  const kept = outbox.stored()
  expect(kept.length).toBeGreaterThan(32)
  expect(kept.length * 500).toBeLessThanOrEqual(64 * KIB)
  expect(kept[0]!.position).toBe(20_000)
  expect(outbox.get('m_2')).toBeUndefined()
  expect(outbox.waiting().map(({ id }) => id)).toEqual([waits])
  expect(outbox.nextSeq(1, 'a')).toBe(20_001)
})

test('outbox - what a damaged store lost and is stored again counts once', () => {
  const outbox = new Outbox(64 * KIB)
  const store = (id: string) => outbox.apply({ t: 'stored', id, position: 1, at: 1 })
  const id = put(outbox, 1, 40 * KIB)
  for (let i = 0; i < 5; i++) {
    store(id)
    store(id)
    outbox.lose(outbox.stored())
  }
  store(id)
  expect(outbox.stored()).toHaveLength(1)
})

test('outbox - a sent message keeps no memory alive beside its own bytes', () => {
  const outbox = new Outbox()
  const ids = [1, 2].map((n) => put(outbox, n, 500))
  for (const id of ids) expect(outbox.get(id)!.message.bytes.buffer.byteLength).toBe(500)
})
