import { expect, test } from 'vitest'
import { Receipts } from '../../../../src/daemon/mail/receipts.ts'
import type { Logger } from '../../../../src/host/log.ts'
import type { ProjectStore } from '../../../../src/nats/project-store.ts'
import type { Receipt } from '../../../../src/wire/envelope.schema.ts'

const told = (id: string, state: Receipt['state'] = 'delivered'): Receipt => {
  const by = { member: 'local', name: 'web', epoch: 1 }
  return { v: 1, kind: 'receipt', id, state, at: '2026-11-20T10:00:00.000Z', by, evidence: 'e' }
}

/** An engine that passes receipts on before it has stored them, as a real one does. */
async function slowEngine() {
  let pass: (receipt: Receipt) => void = () => {}
  const store = {
    followReceipts: (_name: string, hear: typeof pass) => {
      pass = hear
      return () => {}
    },
    receiptsOf: async () => [],
  }
  const receipts = new Receipts({ debug() {} } as unknown as Logger)
  await receipts.attach(store as unknown as ProjectStore, 'api')
  return { receipts, pass: (receipt: Receipt) => pass(receipt) }
}

test('a receipt that was heard before anybody asked for it, and is not stored yet, is not missed', async () => {
  const { receipts, pass } = await slowEngine()
  pass(told('m_1'))
  const { signal } = new AbortController()
  expect(await receipts.reached('m_1', 'delivered', signal)).toEqual(told('m_1'))
})

test('another message, or an earlier state, is not what was asked for', async () => {
  const { receipts, pass } = await slowEngine()
  for (const receipt of [told('m_2', 'surfaced'), told('m_1')]) pass(receipt)
  const end = new AbortController()
  const asked = receipts.reached('m_1', 'surfaced', end.signal)
  pass(told('m_1', 'surfaced'))
  expect(await asked).toEqual(told('m_1', 'surfaced'))
  const never = receipts.reached('m_3', 'delivered', end.signal)
  end.abort()
  expect(await never).toBeNull()
})

test('only so many are remembered', async () => {
  const { receipts, pass } = await slowEngine()
  for (let i = 0; i < 300; i++) pass(told(`m_${i}`))
  const end = new AbortController()
  const forgotten = receipts.reached('m_0', 'delivered', end.signal)
  end.abort()
  expect(await forgotten).toBeNull()
})

test('a call whose time is over already waits for no receipt, but has the one that is there', async () => {
  const { receipts, pass } = await slowEngine()
  expect(await receipts.first('m_1', () => true, AbortSignal.abort())).toBeNull()
  pass(told('m_1'))
  expect(await receipts.first('m_1', () => true, AbortSignal.abort())).toEqual(told('m_1'))
})
