/** Whom a change of the board concerns. */
import { expect, test } from 'vitest'
import { apply, type Move } from '../../../../src/core/tasks/board.ts'
import { newsOf } from '../../../../src/core/tasks/news.ts'
import type { Actor, Task } from '../../../../src/wire/task.schema.ts'

const who = (name: string): Actor => ({ member: 'local', name, epoch: 1 })
const id = (n: number) => `t_${n.toString(16).padStart(32, '0')}`
const at = '2026-01-01T00:00:00.000Z'
let operations = 0
const op = () => (operations++).toString(16).padStart(16, '0')

/** A board whose changes tell who is told what. */
class Told {
  readonly #tasks = new Map<string, Task>()

  add(n: number, by: string, fields: Partial<Task> = {}): Record<string, string> {
    const change = { op: op(), at, by: who(by), what: 'added' }
    const lists = { after: [], blockedOn: [], labels: [], links: [], recent: [] }
    const origin = { createdAt: at, createdBy: who(by), fence: 0, change, priority: 5, title: `task ${n}` }
    return this.#tell(null, { v: 1, kind: 'task', id: id(n), state: 'open', ...lists, ...origin, ...fields })
  }

  do(n: number, by: string, move: Move): Record<string, string> {
    const before = this.#tasks.get(id(n))!
    return this.#tell(
      before,
      apply(before, { move, by: who(by), at, op: op() }, (one) => this.#tasks.get(one)),
    )
  }

  #tell(before: Task | null, after: Task): Record<string, string> {
    this.#tasks.set(after.id, after)
    const news = newsOf(before, after, this.#tasks.values(), (one) => this.#tasks.get(one))
    return Object.fromEntries(news.map(({ to, text }) => [to, text]))
  }
}

test('task news - the assignee is notified once per assignment, and not of its own doing', () => {
  const board = new Told()
  expect(board.add(1, 'alice', { for: 'bob' })).toEqual({ bob: expect.stringContaining('task for you') })
  expect(board.add(2, 'alice', { for: 'alice' })).toEqual({})
  expect(board.add(3, 'alice')).toEqual({})
  expect(board.do(1, 'alice', { do: 'edit', title: 'new' })).toEqual({})
  expect(board.do(1, 'alice', { do: 'edit', for: 'role:review' })).toEqual({
    'role:review': expect.stringContaining('task for you'),
  })
})

test('task news - a blocked task is announced to its session, and to a role once it can be claimed', () => {
  const board = new Told()
  board.add(1, 'alice')
  expect(board.add(2, 'alice', { for: 'bob', after: [id(1)] }).bob).toContain('you get a message when it is free')
  expect(board.add(3, 'alice', { for: 'role:review', after: [id(1)] })).toEqual({})
  expect(board.do(1, 'alice', { do: 'done' })).toEqual({
    bob: expect.stringContaining('no longer blocked'),
    'role:review': expect.stringContaining('no longer blocked'),
  })
})

test('task news - the end of a task notifies its author and those it unblocks, in one message each', () => {
  const board = new Told()
  board.add(1, 'alice')
  board.add(2, 'alice', { after: [id(1)], for: 'alice' })
  board.add(3, 'alice', { after: [id(1)], for: 'carol' })
  board.add(4, 'alice', { after: [id(1)] })
  expect(board.do(1, 'bob', { do: 'claim' })).toEqual({})
  expect(board.do(1, 'bob', { do: 'done', result: 'merged' })).toEqual({
    alice: expect.stringMatching(/^task done: .*, by bob\nmerged\ntask no longer blocked: .*"task 2"$/),
    carol: expect.stringContaining('no longer blocked'),
  })
})

test('task news - holders of tasks that wait for a failed one are told how to go on', () => {
  const board = new Told()
  board.add(1, 'alice')
  board.add(2, 'dora', { after: [id(1)] })
  expect(board.do(1, 'bob', { do: 'fail', result: 'no' })).toEqual({
    alice: expect.stringContaining('task failed'),
    dora: expect.stringContaining(`mesh task unblock ${id(2).slice(0, 10)} --on ${id(1).slice(0, 10)}`),
  })
})

test('task news - the holder is notified of what others say and do', () => {
  const board = new Told()
  board.add(1, 'alice')
  board.do(1, 'bob', { do: 'claim' })
  expect(board.do(1, 'bob', { do: 'comment', text: 'half done' })).toEqual({})
  expect(board.do(1, 'carol', { do: 'comment', text: 'use v2' })).toEqual({
    bob: expect.stringMatching(/commented: .*by carol\nuse v2$/),
  })
  expect(board.do(1, 'carol', { do: 'block', on: 'the key' })).toEqual({ bob: expect.stringContaining('on the key') })
  expect(board.do(1, 'carol', { do: 'link', to: `r_${'0'.repeat(32)}` })).toEqual({})
  expect(board.do(1, 'alice', { do: 'cancel', text: 'not needed' })).toEqual({
    bob: expect.stringMatching(/^task cancelled: .*by alice\nnot needed$/),
  })
})

test('task news - an expired lease is reported to its holder, and to those who can have it claimed', () => {
  const fall = (fields: Partial<Task>) => {
    const board = new Told()
    board.add(1, 'alice', fields)
    board.do(1, 'bob', { do: 'claim' })
    expect(board.do(1, 'carol', { do: 'expire', at, because: 'bob is gone (killed)' })).toEqual({})
    return board.do(1, 'carol', { do: 'fall' })
  }
  const own = expect.stringMatching(/your claim of task .* fell \(bob is gone \(killed\)\)/)
  const again = expect.stringContaining('open again')
  expect(fall({})).toEqual({ bob: own, alice: again })
  expect(fall({ for: 'bob' })).toEqual({ bob: own, alice: again })
  // Whoever looked did not do it.
  expect(fall({ for: 'carol' })).toEqual({ bob: own, carol: again })
  expect(fall({ for: 'role:worker' })).toEqual({ bob: own, 'role:worker': again })
})

test('task news - a released task is reported to its assignee', () => {
  const board = new Told()
  board.add(1, 'alice', { for: 'role:worker' })
  board.do(1, 'bob', { do: 'claim' })
  expect(board.do(1, 'bob', { do: 'release' })).toEqual({ 'role:worker': expect.stringContaining('released by bob') })
})
