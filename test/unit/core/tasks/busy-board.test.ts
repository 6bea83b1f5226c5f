/** A board with thousands of tasks costs a session's context no more than any other. */
import { expect, test } from 'vitest'
import { Ledger } from '../../../../src/core/state/ledger.ts'
import { obligationsOf } from '../../../../src/core/state/obligations.ts'
import { renderState, tokensOf } from '../../../../src/core/state/render.ts'
import type { Task } from '../../../../src/wire/task.schema.ts'

test('the text about a busy board after a compaction keeps its budget', () => {
  const at = '2026-01-01T00:00:00.000Z'
  const by = (name: string) => ({ member: 'local', name, epoch: 1 })
  const task = (n: number): Task => {
    const change = { op: n.toString(16).padStart(16, '0'), at, by: by('lead'), what: 'added' }
    const lists = { after: [], blockedOn: [], labels: [], links: [], recent: [] }
    const claim = n % 2 === 0 ? { holder: by('api'), since: at, fence: 1 } : undefined
    const origin = { createdAt: at, createdBy: by(n % 2 === 0 ? 'lead' : 'api'), fence: 0, change, ...lists }
    const id = `t_${n.toString(16).padStart(32, '0')}`
    const what = { title: `task ${n} `.padEnd(200, 'x'), priority: 5, state: claim ? 'claimed' : 'open' } as const
    return { v: 1, kind: 'task', id, ...what, ...origin, ...(claim ? { claim } : {}) }
  }
  const tasks = Array.from({ length: 10_000 }, (_, n) => task(n))
  const facts = { me: 'api', ownRun: null, ledger: new Ledger(), runs: [], claims: [], parent: null, said: null }
  const duties = obligationsOf({ ...facts, tasks, now: Date.parse(at) })
  const text = renderState({ entries: [], notes: [] }, duties, { me: 'api', nonce: 'abcd1234', tokens: 600 })
  expect(duties).toHaveLength(10_000)
  expect(tokensOf(text)).toBeLessThanOrEqual(600)
  expect(text).toContain('held by you')
  expect(text).toMatch(/\[\d+ more: /)
})
