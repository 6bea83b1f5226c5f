/** One line of events per run: in order, without gaps, with exactly one end, whoever races. */
import { expect, onTestFinished } from 'vitest'
import { engineUser } from '../../../src/engine/nkey.ts'
import { connectEngine } from '../../../src/nats/connect.ts'
import { RunStore } from '../../../src/nats/run-store.ts'
import { newId } from '../../../src/wire/names.ts'
import { eventSubject } from '../../../src/wire/subjects.ts'
import { type Project, test } from '../../support/node.ts'

const RACERS = 16
const ROUNDS = 40

async function open(project: Project): Promise<RunStore> {
  const { url, home } = project.world
  const nc = await connectEngine({ url, user: engineUser(home), name: 'racer' }, () => {})
  onTestFinished(() => nc.close())
  return RunStore.open(nc, project.name)
}

function subjectOf(project: Project, run: string, phase: 'step' | 'end', i: number): string {
  return eventSubject(project.name, `owner-${i}`, run, phase, { member: `m${i}`, name: `n${i}` })
}

test('of racing publishers of an end exactly one wins, whatever its owner, member and name', async ({ project }) => {
  const stores = await Promise.all(Array.from({ length: RACERS }, () => open(project)))
  for (let round = 0; round < ROUNDS; round++) {
    const run = newId('r')
    const spawned = await stores[0]!.append(run, subjectOf(project, run, 'step', 0), Buffer.from('s'), `${run}.1`, 0)
    const positions = await Promise.all(
      stores.map((store, i) =>
        store.append(run, subjectOf(project, run, 'end', i), Buffer.from(`${i}`), `m${i}.${run}.end`, spawned!),
      ),
    )
    const winners = positions.flatMap((position, i) => (position === null ? [] : [i]))
    expect(winners).toHaveLength(1)
    const ends = await stores[0]!.read({ run, phase: 'end' })
    expect(ends.map(({ data }) => Buffer.from(data).toString())).toEqual([`${winners[0]}`])
    expect(await stores[1]!.end(run)).toMatchObject({ subject: subjectOf(project, run, 'end', winners[0]!) })
  }
})

test('nothing follows an end, and no step comes twice or late', async ({ project }) => {
  const store = await open(project)
  const run = newId('r')
  const append = (phase: 'step' | 'end', id: string, after: number) =>
    store.append(run, subjectOf(project, run, phase, 1), Buffer.from(id), id, after)
  const first = await append('step', 'a', 0)
  // The same again under another message id, as after the engine's window for duplicates.
  expect(await append('step', 'a2', 0)).toBe(null)
  const second = await append('step', 'b', first!)
  expect(await append('step', 'late', first!)).toBe(null)
  const end = await append('end', 'c', second!)
  expect(end).toBeGreaterThan(second!)
  for (const after of [0, first!, second!]) expect(await append('end', `d${after}`, after)).toBe(null)
  expect((await store.line(run)).map(({ data }) => Buffer.from(data).toString())).toEqual(['a', 'b', 'c'])
})

test("one run's line says nothing of another's", async ({ project }) => {
  const store = await open(project)
  const [one, two] = [newId('r'), newId('r')]
  await store.append(one, subjectOf(project, one, 'end', 1), Buffer.from('x'), one, 0)
  expect(await store.append(two, subjectOf(project, two, 'step', 1), Buffer.from('y'), two, 0)).not.toBe(null)
  expect(await store.end(two)).toBe(null)
})
