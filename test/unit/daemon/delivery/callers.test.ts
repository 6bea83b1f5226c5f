/** Calls that wait for messages. */
import { expect, test } from 'vitest'
import { WaitingCalls } from '../../../../src/daemon/delivery/callers.ts'
import { limits } from '../../../../src/wire/limits.ts'

const forever = new AbortController().signal

test('waiting calls - one too many is refused by its promise, as every other failure', async () => {
  const calls = new WaitingCalls(() => {})
  for (let i = 0; i < limits.waiters; i++) void calls.await({ kind: 'any' }, forever)
  const refused = calls.await({ kind: 'reply', id: 'm_1' }, forever)
  await expect(refused).rejects.toMatchObject({ code: 'conflict' })
  expect(calls.size).toBe(limits.waiters)
})

test('waiting calls - a call whose time is over already waits for nothing', async () => {
  const calls = new WaitingCalls(() => {})
  await expect(calls.await({ kind: 'any' }, AbortSignal.abort())).rejects.toMatchObject({ code: 'timeout' })
  expect(calls.size).toBe(0)
})
