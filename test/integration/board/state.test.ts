/** State documents on a real engine: no lost update, history, late holders, answers that get lost, and what is collected. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, vi } from 'vitest'
import { collect, documentHistory, keyOf } from '../../../src/daemon/state/documents.ts'
import { OwnState } from '../../../src/daemon/state/own-state.ts'
import { MeshError } from '../../../src/errors.ts'
import { limits, times } from '../../../src/wire/limits.ts'
import { newOperation } from '../../../src/wire/names.ts'
import { storeNames } from '../../../src/wire/subjects.ts'
import { type Node, test } from '../../support/node.ts'

const set = (node: Node, key: string, value: string, more: object = {}) =>
  node.call('state_change', { op: newOperation(), do: 'set', key, value, ...more })
const read = (node: Node, more: object = {}) => node.call('state_read', more)
const values = async (node: Node, more: object = {}) =>
  Object.fromEntries((await read(node, more)).entries.map(({ key, value }) => [key, value]))
const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => 'done',
    (error) => MeshError.from(error).code,
  )

test('a value is kept with its history, and each revision can be read', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await set(alice, 'plan', 'a')
  await set(alice, '__proto__', 'b')
  const { rev } = await set(alice, 'plan', 'c')
  await alice.call('state_change', { op: newOperation(), do: 'note', text: 'a remark' })
  await alice.call('state_change', { op: newOperation(), do: 'rm', key: '__proto__' })
  expect(rev).toBe(3)
  expect(await values(alice)).toEqual({ plan: 'c' })
  expect((await read(alice)).notes).toMatchObject([{ text: 'a remark', by: 'alice' }])
  expect((await read(alice, { rev: 2 })).entries.map(({ key, value }) => [key, value])).toEqual([
    ['plan', 'a'],
    ['__proto__', 'b'],
  ])
  const history = await alice.call('state_history', {})
  expect(history.map(({ rev, what, key }) => [rev, what, key])).toEqual([
    [1, 'set', 'plan'],
    [2, 'set', '__proto__'],
    [3, 'set', 'plan'],
    [4, 'note', null],
    [5, 'rm', '__proto__'],
  ])
  // A session's own document is its own.
  expect(await values(bob)).toEqual({})
  expect(await codeOf(read(alice, { key: 'nothing' }))).toBe('not_found')
  expect(await codeOf(read(alice, { rev: 77 }))).toBe('not_found')
})

test('of many concurrent writers of a shared document none loses an update', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  const nodes = [alice, bob, carol]
  const keys = Array.from({ length: 30 }, (_, i) => `k${i}`)
  const shared = { shared: 'release' }
  const changed = await Promise.all(keys.map((key, i) => set(nodes[i % 3]!, key, `v${i}`, shared)))
  expect(await values(bob, shared)).toEqual(Object.fromEntries(keys.map((key, i) => [key, `v${i}`])))
  expect(changed.map(({ rev }) => rev).sort((a, b) => a - b)).toEqual(keys.map((_, i) => i + 1))
  // Of those who saw the same revision of one key exactly one goes on from it.
  const { rev } = (await read(alice, { ...shared, key: 'k0' })).entries[0]!
  const tries = await Promise.all(
    Array.from({ length: 9 }, (_, i) => codeOf(set(nodes[i % 3]!, 'k0', `mine ${i}`, { ...shared, ifRev: rev }))),
  )
  expect(tries.filter((code) => code === 'done')).toHaveLength(1)
  expect(tries.filter((code) => code === 'conflict')).toHaveLength(8)
})

test('a counter that three increase at once counts all', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  const shared = { shared: 'count' }
  await set(alice, 'n', '0', shared)
  const increase = async (node: Node) => {
    for (;;) {
      const { value, rev } = (await read(node, { ...shared, key: 'n' })).entries[0]!
      if ((await codeOf(set(node, 'n', String(Number(value) + 1), { ...shared, ifRev: rev }))) === 'done') return
    }
  }
  await Promise.all(
    [alice, bob, carol].map(async (node) => {
      for (let i = 0; i < 10; i++) await increase(node)
    }),
  )
  expect(await values(alice, shared)).toEqual({ n: '30' })
})

test('a mebibyte is kept and read again, more is refused and changes nothing', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const value = randomBytes(limits.stateBytes / 2).toString('hex')
  await set(alice, 'big', value)
  expect((await values(alice)).big === value).toBe(true)
  expect(await codeOf(set(alice, 'more', 'x'))).toBe('too_large')
  expect(await codeOf(set(alice, 'five', 'x'.repeat(5 * limits.stateBytes)))).toBe('too_large')
  expect(Object.keys(await values(alice))).toEqual(['big'])
  expect((await read(alice)).rev).toBe(1)
})

test('a change whose answer was lost is made once, when it is tried again with its operation', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const op = newOperation()
  const request = { op, do: 'set', key: 'plan', value: 'a' } as const
  const { store } = alice.sidecar.link
  const update = store.state.update.bind(store.state)
  // The engine has it, the answer gets lost: once within the call, once for the caller.
  const lost = vi.spyOn(store.state, 'update').mockImplementationOnce(async (...args) => {
    await update(...args)
    throw new MeshError('timeout', 'the engine did not answer in time')
  })
  const first = await alice.call('state_change', request)
  expect(lost).toHaveBeenCalledTimes(1)
  await set(alice, 'plan', 'b')
  expect(await alice.call('state_change', request)).toEqual(first)
  expect(await values(alice)).toEqual({ plan: 'b' })
  expect((await read(alice)).rev).toBe(2)
})

test('the document goes with the name: over a restart, a resume, a rename and to a successor, and a late holder is refused', async ({
  project,
}) => {
  const first = await project.node('api', { worktree: '/repos/api', session: 'one' })
  await set(first, 'plan', 'mine')
  const { store } = first.sidecar.link
  const late = { record: first.sidecar.record, state: first.sidecar.state }
  await first.die()
  const resumed = await project.node('api', { worktree: '/repos/api', session: 'one', source: 'resume' })
  expect(resumed.sidecar.record.epoch).toBe(2)
  expect(await values(resumed)).toEqual({ plan: 'mine' })
  const { store: living } = resumed.sidecar.link
  expect(
    await codeOf(late.state.change(living, late.record, { do: 'set', key: 'plan', value: 'late' }, newOperation())),
  ).toBe('conflict')
  expect(store).not.toBe(living)
  await resumed.call('rename', { name: 'api-worker' })
  expect(await values(resumed)).toEqual({ plan: 'mine' })
  await set(resumed, 'plan', 'renamed')
  await resumed.die()
  const successor = await project.node('api-worker', { worktree: '/repos/api', session: 'two' })
  expect(successor.name).toBe('api-worker')
  expect(await values(successor)).toEqual({ plan: 'renamed' })
  // Who takes the name that was left begins anew.
  const stranger = await project.node('api', { session: 'three', explicit: true })
  expect(stranger.name).toBe('api')
  expect(await values(stranger)).toEqual({})
})

test('a change that comes while the document is read for the first time is not forgotten', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const { record, log } = alice.sidecar
  const { store } = alice.sidecar.link
  const own = new OwnState(log)
  const look = store.state.look.bind(store.state)
  let changed: Promise<unknown> | null = null
  vi.spyOn(store.state, 'look').mockImplementationOnce(async (key) => {
    const read = await look(key)
    changed = own.change(store, record, { do: 'set', key: 'plan', value: 'mine' }, newOperation())
    // Either it waits for this reading, or it is over before this reading is.
    await Promise.race([changed, sleep(1000)])
    return read
  })
  await own.attach(store, record)
  await changed
  expect(own.document.entries.map(({ key, value }) => [key, value])).toEqual([['plan', 'mine']])
})

test('forgetting the name removes its document', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await set(alice, 'plan', 'mine')
  await alice.stop()
  await bob.call('forget', { name: 'alice' })
  const again = await project.node('alice', { session: 'another' })
  expect(again.sidecar.record.epoch).toBe(1)
  expect(await values(again)).toEqual({})
})

test('history is bounded, and objects that no kept revision names are collected after an hour', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const { store } = alice.sidecar.link
  for (let i = 0; i < limits.stateHistory + 8; i++) await set(alice, 'n', `value ${i}`)
  const ref = { own: 'alice', epoch: 1 }
  const history = await documentHistory(store, ref)
  expect([history.length, history[0]!.rev]).toEqual([limits.stateHistory, 9])
  const { jsm } = await project.attacker()
  const objects = async () => (await store.documents.all()).length
  expect(await objects()).toBe(limits.stateHistory + 8)
  // All are new: any of them may be named in a moment.
  expect(await collect(store)).toBe(0)
  const later = Date.now() + times.stateGrace + 60_000
  const written = store.state.all.bind(store.state)
  vi.spyOn(store.state, 'all').mockImplementation(async () => {
    const all = await written()
    all.at(-1)!.writtenAt = later
    return all
  })
  expect(await collect(store)).toBe(8)
  expect(await objects()).toBe(limits.stateHistory)
  expect((await read(alice, { rev: 9 })).entries[0]!.value).toBe('value 8')
  expect(await values(alice)).toEqual({ n: `value ${limits.stateHistory + 7}` })
  // An object that was put again since it was looked at stays.
  const [object] = await store.documents.all()
  await store.documents.put(await store.documents.get(object!.name))
  await store.documents.remove(object!)
  expect(Buffer.from(await store.documents.get(object!.name)).length).toBeGreaterThan(0)
  // Nothing of it leaves a consumer behind.
  expect((await jsm.streams.info(`OBJ_${storeNames(project.name).documents}`)).state.consumer_count).toBe(0)
  expect((await store.state.get(keyOf(ref)))?.value.rev).toBe(limits.stateHistory + 8)
})

test('a malformed key or document is refused', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  for (const key of ['', 'a b', 'a\u0007', 'k'.repeat(10_240)])
    expect(await codeOf(set(alice, key, 'x'))).toBe('bad_request')
  for (const shared of ['', '../x', 'A', 'x'.repeat(65), '>'])
    expect(await codeOf(set(alice, 'k', 'x', { shared }))).toBe('bad_name')
  expect(await codeOf(alice.call('state_change', { op: newOperation(), do: 'set', key: 'k' }))).toBe('bad_request')
  expect(await codeOf(alice.call('state_change', { op: newOperation(), do: 'note' }))).toBe('bad_request')
  expect(await codeOf(alice.call('state_change', { op: 'short', do: 'note', text: 'x' }))).toBe('bad_request')
})
