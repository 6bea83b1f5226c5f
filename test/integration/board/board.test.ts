/** The task board on a real engine: one winner, leases that fall, who is told, and changes that are pushed. */
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Response } from '../../../src/api/ops.schema.ts'
import { circleOf } from '../../../src/core/tasks/dependencies.ts'
import { Board } from '../../../src/daemon/tasks/board.ts'
import { MeshError } from '../../../src/errors.ts'
import { newOperation } from '../../../src/wire/names.ts'
import type { Task } from '../../../src/wire/task.schema.ts'
import { type Command, newTask, play, sequences } from '../../support/fault/board-model.ts'
import { type Node, test, until } from '../../support/node.ts'

type Detail = Response<'task_claim'>

const add = (node: Node, title: string, fields: object = {}): Promise<Detail> =>
  node.call('task_add', { op: newOperation(), title, ...fields })
const claim = (node: Node, fields: object): Promise<Detail> =>
  node.call('task_claim', { op: newOperation(), ...fields })
const change = (node: Node, id: string, word: string, fields: object = {}): Promise<Detail> =>
  node.call('task_change', { op: newOperation(), id, do: word as 'done', ...fields })
const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => 'done',
    (error) => MeshError.from(error).code,
  )

test('of sixteen concurrent claimers one wins, and the others are told who', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  for (let round = 0; round < 10; round++) {
    const { id } = await add(alice, `round ${round}`)
    const tries = Array.from({ length: 16 }, (_, i) => {
      const node = i % 2 === 0 ? alice : bob
      return claim(node, { id }).then(
        (task) => ({ owner: task.owner }),
        (error) => ({ message: String(error.message) }),
      )
    })
    const results = await Promise.all(tries)
    const owner = results.find((one) => 'owner' in one)!.owner!
    const loser = owner === 'alice' ? 'bob' : 'alice'
    const shown = await alice.call('task_show', { id })
    expect(shown).toMatchObject({ owner, state: 'claimed' })
    // A holder that claims again holds it again; nobody else does.
    const refused = results.filter((one) => 'message' in one)
    expect(refused).toHaveLength(8)
    for (const { message } of refused) expect(message).toContain(`is held by ${owner}`)
    expect(shown.history.filter(({ by, what }) => by === loser && what === 'claimed')).toEqual([])
  }
})

test('claim --next gives each open task to exactly one session', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  for (let i = 0; i < 12; i++) await add(alice, `task ${i}`)
  const nodes = [alice, bob, carol]
  const got = await Promise.all(Array.from({ length: 12 }, (_, i) => claim(nodes[i % 3]!, {})))
  expect(new Set(got.map(({ id }) => id)).size).toBe(12)
  expect(await codeOf(claim(alice, {}))).toBe('not_found')
})

test('a repeated operation makes one change', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const op = newOperation()
  const first = await alice.call('task_add', { op, title: 'once' })
  expect(await alice.call('task_add', { op, title: 'once' })).toMatchObject({ id: first.id, rev: first.rev })
  await add(alice, 'another')
  const claimOp = newOperation()
  const taken = await alice.call('task_claim', { op: claimOp })
  expect((await alice.call('task_claim', { op: claimOp })).id).toBe(taken.id)
})

test('a change notifies the sessions that it concerns, and no others', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  const first = await add(alice, 'the parser')
  const second = await add(alice, 'its review', { for: 'bob', after: [first.id] })
  expect(await bob.texts(1)).toEqual([expect.stringContaining('task for you: ')])
  expect(await codeOf(claim(bob, { id: second.id }))).toBe('conflict')
  await claim(carol, { id: first.id })
  await change(carol, first.id, 'done', { result: 'merged' })
  expect(await bob.texts(1)).toEqual([expect.stringContaining('no longer blocked')])
  expect(await alice.texts(1)).toEqual([expect.stringMatching(/^task done: .*by carol\nmerged$/)])
  for (const node of [alice, bob, carol]) await node.nothingElse()
})

test('the lease of a dead session expires, a waiting worker gets the task, and the dead one, resumed, is refused', async ({
  project,
}) => {
  const settings = { claimGraceSeconds: 1 }
  const [worker, witness] = [await project.node('worker', { settings }), await project.node('witness', { settings })]
  const victim = await project.spawn('victim')
  const { id } = await add(worker, 'what the dead one held')
  expect(await victim.call('task_claim', { op: newOperation(), id })).toMatchObject({ owner: 'victim', fence: 1 })
  const waiting = claim(worker, { wait: true })
  await victim.kill()
  expect(await waiting).toMatchObject({ id, owner: 'worker', fence: 2 })
  await victim.start()
  const finishing = victim.call('task_change', { op: newOperation(), id, do: 'done' })
  const refusal = await finishing.catch((error) => String(error.message))
  expect(refusal).toMatch(/your claim of .* fell at .*victim is gone.*worker holds it now/)
  expect((await witness.call('task_show', { id })).history.map(({ what }) => what)).toEqual([
    'added',
    'claimed',
    'deadline-set',
    'claim-fell',
    'claimed',
  ])
})

test('the lease of a silent session expires, though no witness saw it end', async ({ project }) => {
  const settings = { claimGraceSeconds: 3600, claimLostSeconds: 1 }
  const { alice } = { alice: await project.node('alice', { settings }) }
  const far = await project.node('far', { machine: await project.machine() })
  const { id } = await add(alice, 'what the silent one held')
  await claim(far, { id })
  const waiting = claim(alice, { wait: true })
  await far.crash()
  // As long as it takes for a heartbeat to count as lost: the engine keeps none of a session that fell silent.
  const { store } = alice.sidecar.link
  const record = (await store.names.get('far'))!
  await store.names.update(
    'far',
    { ...record.value, state: 'lost', endedAt: new Date().toISOString() },
    record.revision,
  )
  expect(await waiting).toMatchObject({ id, owner: 'alice', fence: 2 })
  expect((await alice.texts(1))[0]).toMatch(/task open again: .*far is lost/)
})

test('a wait for a task and a watch outlive the engine', async ({ project, world }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  const waiting = claim(bob, { wait: true })
  const { version } = await carol.call('task_news', {})
  const news = carol.call('task_news', { since: version })
  world.killEngine()
  await until(() => !alice.sidecar.link.up, 'the engine is away')
  await until(() => [alice, bob, carol].every((node) => node.sidecar.link.up), 'the engine is back')
  const { id } = await add(alice, 'afterwards')
  expect(await waiting).toMatchObject({ id, owner: 'bob' })
  expect((await news).version).not.toBe(version)
})

test('one idle member of a role is notified', async ({ project }) => {
  const { alice, busy, idle } = await project.nodes('alice', 'busy', 'idle')
  for (const node of [busy, idle]) await node.call('role_add', { role: 'reviewer' })
  busy.status('busy')
  await add(alice, 'review it', { for: 'role:reviewer' })
  expect(await idle.texts(1)).toEqual([expect.stringContaining('task for you')])
  expect(await claim(idle, {})).toMatchObject({ owner: 'idle', for: 'role:reviewer' })
  expect(await busy.take()).toEqual([])
})

test('linked runs and messages are shown with the task', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { id } = await add(alice, 'x')
  const sent = await alice.send('bob', 'about the task')
  await bob.texts(1)
  expect(await change(bob, id, 'link', { to: sent.id.slice(0, 12) })).toMatchObject({ links: [sent.id] })
  expect(await codeOf(change(alice, id, 'link', { to: `m_${'0'.repeat(32)}` }))).toBe('not_found')
  expect(await codeOf(change(alice, id, 'link', { to: `r_${'0'.repeat(32)}` }))).toBe('not_found')
  expect(await codeOf(change(alice, id, 'link', { to: 'no-such-run' }))).toBe('not_found')
})

test('assigning a task to an unknown name says so', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  expect((await add(alice, 'x', { for: 'nobody-yet' })).note).toContain('there is no session nobody-yet yet')
  expect((await add(alice, 'y', { for: 'alice' })).note).toBeUndefined()
})

test('a session that is back in time keeps its claim, and so does one that takes another name', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const bob = await project.node('bob', { session: 'a conversation' })
  const { id } = await add(alice, 'kept')
  await claim(bob, { id })
  await bob.stop()
  await until(async () => (await alice.call('task_show', { id })).claim?.deadline !== null, 'the deadline is set')
  const back = await project.node('bob', { session: 'a conversation' })
  await until(async () => (await alice.call('task_show', { id })).claim?.deadline === null, 'the deadline is lifted')
  await back.call('rename', { name: 'robert' })
  expect(await change(back, id, 'done')).toMatchObject({ state: 'done' })
})

test('a change is pushed to watchers', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { version } = await bob.call('task_news', {})
  const news = bob.call('task_news', { since: version })
  const { id } = await add(alice, 'new')
  expect((await news).version).toBeGreaterThan(version)
  expect(await bob.call('task_list', {})).toMatchObject([{ id, title: 'new', state: 'open' }])
})

test('another machine receives changes without polling', async ({ project }) => {
  const machine = await project.machine()
  const [here, there] = [await project.node('here'), await project.node('there', { machine })]
  await there.call('task_list', {})
  // What it sends: its heartbeats, of which there is one every ten seconds and one per change of its own state.
  const before = machine.cable.sent
  const changes = 40
  for (let i = 0; i < changes; i++) {
    const { version } = await there.call('task_news', {})
    const news = there.call('task_news', { since: version })
    const { id } = await add(here, `task ${i}`)
    await news
    expect((await there.call('task_list', {})).some((task) => task.id === id)).toBe(true)
  }
  // One question per change would be more.
  expect(machine.cable.sent - before).toBeLessThan(changes * 60)
})

test('a full board drops the tasks that ended longest ago, never open or awaited ones', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const [first, second] = [await add(alice, 'first'), await add(alice, 'second')]
  const failed = await add(alice, 'failed')
  const waits = await add(alice, 'waits', { after: [failed.id] })
  for (const { id } of [first, second]) await change(alice, id, 'done')
  await change(alice, failed.id, 'fail')
  await bob.call('task_list', { which: 'all' })
  const { store } = alice.sidecar.link
  const board = new Board({ log: alice.sidecar.log, most: 4, onOpen: () => {} })
  await board.open(store)
  const { task } = await store.tasks.get(waits.id).then((entry) => ({ task: entry!.value }))
  const put = (n: number) => {
    const change = { ...task.change, op: String(n).repeat(32) }
    return board.add(store, { ...task, id: `t_${String(n).repeat(32)}`, after: [], recent: [], change })
  }
  await put(1)
  const hears = () => !bob.sidecar.board.get(first.id) && bob.sidecar.board.get(`t_${'1'.repeat(32)}`)
  await until(() => !!hears(), 'bob hears of both')
  const left = (await bob.call('task_list', { which: 'all' })).map(({ title, id }) => [title, id])
  expect(left.map(([title]) => title).sort()).toEqual(['failed', 'waits', 'waits'])
  await put(2)
  await expect(put(3)).rejects.toMatchObject({ code: 'too_large' })
})

test('two concurrent changes close no circle of dependencies', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  for (let round = 0; round < 10; round++) {
    const [one, two] = [await add(alice, 'one'), await add(alice, 'two')]
    await bob.call('task_show', { id: two.id })
    await Promise.allSettled([
      change(alice, one.id, 'block', { on: two.id }),
      change(bob, two.id, 'block', { on: one.id }),
    ])
    const { store } = alice.sidecar.link
    const tasks = new Map<string, Task>()
    for (const { id } of [one, two]) tasks.set(id, (await store.tasks.get(id))!.value)
    expect(circleOf(tasks.get(one.id)!, (id) => tasks.get(id))).toBeNull()
  }
})

test('bad input is refused before anything is written', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const { id } = await add(alice, 'x')
  expect(await codeOf(add(alice, ''))).toBe('bad_request')
  expect(await codeOf(add(alice, 'x'.repeat(201)))).toBe('too_large')
  expect(await codeOf(add(alice, 'x', { after: [`t_${'0'.repeat(32)}`] }))).toBe('not_found')
  expect(await codeOf(add(alice, 'x', { for: '../../x' }))).toBe('bad_request')
  expect(await codeOf(change(alice, id, 'block'))).toBe('bad_request')
  expect(await codeOf(change(alice, id, 'block', { on: id }))).toBe('conflict')
  expect(await codeOf(change(alice, '__proto__', 'done'))).toBe('bad_request')
  expect(await codeOf(change(alice, 't_zz', 'done'))).toBe('bad_request')
  expect((await alice.call('task_show', { id })).history).toHaveLength(1)
})

const places = ['0', '1', '2']

test('100 random histories on the real engine end as the plain model of the board says', async ({ project }) => {
  const nodes = Object.values(await project.nodes('alice', 'bob'))
  await fc.assert(
    fc.asyncProperty(sequences(places, nodes.length, { min: 5, max: 25 }), async (sequence) => {
      const ids = await Promise.all(places.map(async (title) => (await add(nodes[0]!, title)).id))
      const idOf = (on: string) => ids[Number(on)] ?? on
      const model = Object.fromEntries(ids.map((id) => [id, newTask('alice')]))
      for (const { on, by, command } of sequence) {
        const { do: word, ...fields } = command
        const given = {
          ...fields,
          ...('on' in fields && fields.on !== undefined && { on: idOf(fields.on) }),
          ...('after' in fields && { after: fields.after?.map(idOf) }),
        }
        const node = nodes[by]!
        const outcome = play(model, ids[on]!, node.name, { do: word, ...given } as Command)
        const real = word === 'claim' ? claim(node, { id: ids[on]! }) : change(node, ids[on]!, word, given)
        expect(await codeOf(real)).toBe(outcome === 'ok' ? 'done' : outcome)
      }
      const { store } = nodes[0]!.sidecar.link
      for (const id of ids) {
        const { state, fence, claim: held, after, blockedOn } = (await store.tasks.get(id))!.value
        const { creator: _, ...expected } = model[id]!
        expect({ state, fence, holder: held?.holder.name ?? null, after, words: blockedOn }).toEqual(expected)
      }
    }),
    { numRuns: 100 },
  )
})
