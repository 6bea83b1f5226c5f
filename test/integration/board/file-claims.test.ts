/** Claims on files and shared edits on a real engine: one winner, leases that fall, and who is told what, once. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Response } from '../../../src/api/ops.schema.ts'
import { overlap } from '../../../src/core/files/paths.ts'
import { claimsOf } from '../../../src/daemon/files/claims.ts'
import { MeshError } from '../../../src/errors.ts'
import { limits } from '../../../src/wire/limits.ts'
import { type Node, type Project, test, until } from '../../support/node.ts'

/** A repository with two worktrees, each with a file `src/a.ts`. */
function repository(project: Project): { main: string; other: string } {
  const root = project.world.directory()
  const [main, other] = [join(root, 'shop'), join(root, 'shop-fix')]
  execFileSync('git', ['init', '-q', main])
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', main, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { stdio: 'ignore' })
  git('commit', '--allow-empty', '-m', 'first')
  git('worktree', 'add', '-b', 'fix', other)
  for (const top of [main, other]) {
    mkdirSync(join(top, 'src'))
    writeFileSync(join(top, 'src', 'a.ts'), '')
  }
  return { main, other }
}

const claim = (node: Node, ...paths: string[]): Promise<Response<'claim'>> => node.call('claim', { paths })
const refusal = (run: Promise<unknown>) =>
  run.then(
    () => null,
    (error) => MeshError.from(error),
  )

test('of concurrent claims that overlap one gets all of its paths, and the others none', async ({ project }) => {
  const { main, other } = repository(project)
  const nodes = [
    await project.node('alice', { worktree: main }),
    await project.node('bob', { worktree: other }),
    await project.node('carol', { worktree: main }),
  ]
  const ways = ['src/**', 'src/a.ts', '**/*.ts', 'src/?.ts']
  for (let round = 0; round < 10; round++) {
    const tries = Array.from({ length: 12 }, (_, i) =>
      refusal(claim(nodes[i % 3]!, `own-${i}`, ways[(i + round) % 4]!)).then((error) => ({
        by: nodes[i % 3]!.name,
        error,
      })),
    )
    const results = await Promise.all(tries)
    const winner = new Set(results.filter(({ error }) => error === null).map(({ by }) => by))
    expect(winner.size).toBe(1)
    const [name] = winner
    for (const { by, error } of results) {
      if (by === name) continue
      expect(error!.code).toBe('conflict')
      expect(error!.message).toContain(`is held by ${name}`)
    }
    const claims = await nodes[0]!.call('claims', {})
    expect(new Set(claims.map(({ holder }) => holder))).toEqual(winner)
    const holder = nodes.find((node) => node.name === name)!
    expect(await claimsOf(holder.sidecar.link.store, name!)).toHaveLength(claims.length)
    expect(await holder.call('release', { all: true })).toHaveLength(claims.length)
    expect(await nodes[0]!.call('claims', {})).toEqual([])
  }
})

test('claims that do not overlap are all made, however many at once', async ({ project }) => {
  const { main } = repository(project)
  const nodes = [await project.node('alice', { worktree: main }), await project.node('bob', { worktree: main })]
  await Promise.all(Array.from({ length: 24 }, (_, i) => claim(nodes[i % 2]!, `dir-${i}/**`)))
  const claims = await nodes[0]!.call('claims', {})
  expect(claims).toHaveLength(24)
  expect(claims.some((a) => claims.some((b) => a !== b && overlap(a.path, b.path)))).toBe(false)
})

test('a claim may name as many paths as are allowed, each as long as is allowed', async ({ project }) => {
  const { main } = repository(project)
  const node = await project.node('api', { worktree: main })
  const part = 'x'.repeat(203)
  const paths = Array.from({ length: limits.claimPaths }, (_, i) => [`${i + 100}-`, part, part, part, part].join('/'))
  expect(await claim(node, ...paths)).toHaveLength(limits.claimPaths)
  expect(await node.call('release', { paths })).toHaveLength(limits.claimPaths)
})

test('claims made while the engine is killed and heals are neither lost nor partial', async ({ project, world }) => {
  const { main } = repository(project)
  const { alice } = { alice: await project.node('alice', { worktree: main }) }
  const made: string[] = []
  for (let i = 0; i < 12; i++) {
    if (i === 4) world.killEngine()
    const paths = [`a-${i}`, `b-${i}`]
    const error = await refusal(claim(alice, ...paths))
    if (error === null) made.push(...paths)
  }
  await until(
    () =>
      alice.call('claims', {}).then(
        () => true,
        () => false,
      ),
    'the engine is back',
  )
  const held = (await alice.call('claims', {})).map(({ path }) => path)
  for (const path of made) expect(held).toContain(path)
  for (let i = 0; i < 12; i++) expect(held.includes(`a-${i}`)).toBe(held.includes(`b-${i}`))
})

test('the claims of a dead session expire after the grace period, those of a lost one later; on return it learns who has them', async ({
  project,
}) => {
  const { main } = repository(project)
  const settings = { claimGraceSeconds: 1, claimLostSeconds: 1 }
  const [worker, far] = [
    await project.node('worker', { settings, worktree: main }),
    await project.node('far', { worktree: main }),
  ]
  const victim = await project.spawn('victim')
  await victim.call('claim', { paths: ['src'], cwd: main })
  expect(await claim(far, 'docs')).toHaveLength(1)
  await victim.kill()
  const early = await refusal(claim(worker, 'src/a.ts'))
  expect(early?.message ?? 'victim is gone').toMatch(/held by victim.*src|victim is gone/)
  await until(async () => (await refusal(claim(worker, 'src/a.ts'))) === null, 'the claim falls')
  await victim.start()
  expect((await refusal(victim.call('claim', { paths: ['src'], cwd: main })))?.message).toContain(
    'is held by worker as "src/a.ts"',
  )
  await far.crash()
  const { store } = worker.sidecar.link
  const record = (await store.names.get('far'))!
  const lost = { ...record.value, state: 'lost' as const, endedAt: new Date().toISOString() }
  await store.names.update('far', lost, record.revision)
  await until(async () => (await refusal(claim(worker, 'docs/x.md'))) === null, 'the claim of a lost one falls')
})

test('two editors of one file in a worktree are notified of each other, once; an editor in another worktree is not', async ({
  project,
}) => {
  const { main, other } = repository(project)
  const [alice, bob, carol, far] = [
    await project.node('alice', { worktree: main }),
    await project.node('bob', { worktree: main }),
    await project.node('carol', { worktree: main }),
    await project.node('far', { worktree: other }),
  ]
  const edit = (node: Node, path = join(main, 'src', 'a.ts')) => node.harness.events.edited(path)
  far.harness.events.edited(join(other, 'src', 'a.ts'))
  edit(alice)
  edit(alice, join(main, 'src', 'alone.ts'))
  for (let i = 0; i < 5; i++) edit(bob)
  expect(await alice.texts(1)).toEqual([expect.stringMatching(/^src\/a\.ts: bob edits it too, in your worktree\./)])
  expect(await bob.texts(1)).toEqual([expect.stringMatching(/^src\/a\.ts: alice edits it too/)])
  edit(carol)
  expect((await carol.texts(2)).sort()).toEqual([expect.stringContaining('alice'), expect.stringContaining('bob')])
  expect(await alice.texts(1)).toEqual([expect.stringContaining('carol edits it too')])
  expect(await bob.texts(1)).toEqual([expect.stringContaining('carol edits it too')])
  for (const node of [alice, bob, carol]) edit(node)
  for (const node of [alice, bob, carol, far]) await node.nothingElse()
})

test('after the engine was killed editors are known again, and none is notified twice', async ({ project, world }) => {
  const { main } = repository(project)
  const [alice, bob] = [await project.node('alice', { worktree: main }), await project.node('bob', { worktree: main })]
  const edit = (node: Node, file: string) => node.harness.events.edited(join(main, file))
  const isShared = async (by: string, count: number) => {
    const { edits } = bob.sidecar.link.store
    const records = await edits.all().catch(() => [])
    return records.filter(({ value }) => value.by.some(({ name }) => name === by)).length === count
  }
  edit(alice, 'shared')
  await until(() => isShared('alice', 1), 'the edit is shared')
  edit(bob, 'shared')
  expect(await alice.texts(1)).toHaveLength(1)
  expect(await bob.texts(1)).toHaveLength(1)
  const { link } = alice.sidecar
  const before = link.store
  world.killEngine()
  await until(() => link.up && link.store !== before, 'the engine is back')
  await alice.joined()
  await bob.joined()
  edit(alice, 'shared')
  edit(alice, 'later')
  await until(() => isShared('alice', 2), 'the edits are shared again')
  edit(bob, 'later')
  edit(bob, 'shared')
  expect(await alice.texts(1)).toEqual([expect.stringMatching(/^later: bob/)])
  expect(await bob.texts(1)).toEqual([expect.stringMatching(/^later: alice/)])
  for (const node of [alice, bob]) await node.nothingElse()
})

test('two sessions that edit at the same moment are both notified, every time', async ({ project }) => {
  const { main } = repository(project)
  const [alice, bob] = [await project.node('alice', { worktree: main }), await project.node('bob', { worktree: main })]
  const files = Array.from({ length: 20 }, (_, i) => `src/f${i}.ts`)
  for (const file of files) for (const node of [alice, bob]) node.harness.events.edited(join(main, file))
  for (const [node, peer] of [
    [alice, 'bob'],
    [bob, 'alice'],
  ] as const) {
    const told = await node.texts(files.length)
    expect(told.map((text) => text.split(': ')[0]).sort()).toEqual([...files].sort())
    for (const text of told) expect(text).toContain(`: ${peer} edits it too`)
    await node.nothingElse()
  }
})

test('editing a claimed file notifies the editor and the claimer, from whatever worktree', async ({ project }) => {
  const { main, other } = repository(project)
  const [holder, editor] = [
    await project.node('holder', { worktree: main }),
    await project.node('editor', { worktree: other }),
  ]
  await holder.call('claim', { paths: ['src'], why: 'new grammar' })
  for (let i = 0; i < 3; i++) editor.harness.events.edited(join(other, 'src', 'a.ts'))
  expect(await editor.texts(1)).toEqual([
    'src/a.ts: you edited it, but holder claims it with src, "new grammar". Ask: mesh ask holder -- TEXT',
  ])
  expect(await holder.texts(1)).toEqual([
    'src/a.ts: editor edited it, in another worktree, though you claim it. To object: mesh send editor -- TEXT',
  ])
  // Its own it may edit, and what nobody claims any more anybody.
  holder.harness.events.edited(join(main, 'src', 'a.ts'))
  await holder.call('release', { all: true })
  editor.harness.events.edited(join(other, 'src', 'b.ts'))
  for (const node of [holder, editor]) await node.nothingElse()
})

test('edits of an ended session, outside of a repository, or in another tree notify no one', async ({ project }) => {
  const { main } = repository(project)
  const [alice, bob] = [await project.node('alice', { worktree: main }), await project.node('bob', { worktree: main })]
  alice.harness.events.edited(join(main, 'src', 'a.ts'))
  await until(async () => (await bob.sidecar.link.store.edits.all()).length === 1, 'the edit is shared')
  await alice.stop()
  for (const path of [join(main, 'src', 'a.ts'), '/tmp/x', '/', '', 'relative', join(main, 'a\nb')])
    bob.harness.events.edited(path)
  await until(async () => {
    const edits = await bob.sidecar.link.store.edits.all()
    return edits[0]!.value.by.some(({ name }) => name === 'bob')
  }, 'the second edit is shared')
  await bob.nothingElse()
})
