/** The task board by the command alone. */
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(async () => {
  mesh = new TestMesh()
  await mesh.join('api', 'web')
})
afterEach(() => mesh.dispose())

const as = (name: string) => ({ as: name })

test('a task from its addition to its end, and who is notified of what', async () => {
  const first = await mesh.json(['task', 'add', 'port the parser', '--label', 'ci,core', '--priority', '1'], as('api'))
  expect(first).toMatchObject({ state: 'open', owner: null, labels: ['ci', 'core'], priority: 1 })
  const second = await mesh.json(['task', 'add', 'review it', '--for', 'web', '--after', first.id], as('api'))
  expect(second).toMatchObject({ state: 'blocked', after: [first.id], for: 'web' })
  expect(await mesh.texts('web')).toEqual([expect.stringContaining('task for you')])
  const list = await mesh.json(['task', 'list'], as('web'))
  expect(list.map((task: { title: string; state: string }) => [task.title, task.state])).toEqual([
    ['port the parser', 'open'],
    ['review it', 'blocked'],
  ])
  const short = first.id.slice(0, 10)
  expect((await mesh.run(['task', 'claim', short], as('api'))).stdout).toBe(`${short} claimed (api)  port the parser\n`)
  const refused = await mesh.run(['task', 'claim', short, '--json'], as('web'))
  expect([refused.code, refused.error.code]).toEqual([4, 'conflict'])
  expect(refused.error.message).toContain('held by api')
  await mesh.run(['task', 'done', short, '--result', '-'], { as: 'api', input: 'merged\n' })
  expect(await mesh.texts('web')).toEqual([expect.stringContaining('no longer blocked')])
  expect(await mesh.json(['task', 'claim', '--next'], as('web'))).toMatchObject({ id: second.id, fence: 1 })
  const shown = (await mesh.run(['task', 'show', first.id], as('web'))).stdout
  expect(shown).toMatch(/^port the parser\nid +t_/)
  expect(shown).toContain('result:\n  merged')
  const history = await mesh.json(['task', 'history', short], as('web'))
  expect(history.map(({ what, by }: { what: string; by: string }) => [what, by])).toEqual([
    ['added', 'api'],
    ['claimed', 'api'],
    ['done', 'api'],
  ])
})

test('task claim --next --wait gets the next task; a watch prints each change', async () => {
  const watch = mesh.start(['task', 'list', '--watch', '--json'], as('web'))
  await watch.sees(/^\[\]\n/)
  const waiting = mesh.start(['task', 'claim', '--next', '--wait', '--json'], as('web'))
  const { id } = await mesh.json(['task', 'add', 'at last'], as('api'))
  expect((await waiting.finished).json).toMatchObject({ id, owner: 'web' })
  await watch.sees(/"state":"claimed"/)
  watch.child.kill()
})

test('two mesh homes on one engine see each other’s changes', async () => {
  const far = join(mesh.root, 'far')
  mkdirSync(join(far, 'engine'), { recursive: true, mode: 0o700 })
  for (const file of ['member.key', 'engine/engine.json', 'engine/user.key'])
    copyFileSync(join(mesh.home, file), join(far, file))
  const there = { as: 'there', env: { MESH_HOME: far } }
  const watch = mesh.start(['task', 'list', '--watch'], there)
  await watch.sees(/no open tasks/)
  const { id } = await mesh.json(['task', 'add', 'from here'], as('api'))
  await watch.sees(/open .* from here\n/)
  await mesh.json(['task', 'claim', id], there)
  const refused = await mesh.run(['task', 'claim', id, '--json'], as('api'))
  expect(refused.error.message).toContain('is held by there')
  await mesh.json(['task', 'done', id], there)
  expect(await mesh.texts('api')).toEqual([expect.stringContaining('by there')])
  await watch.sees(/off this list {2}from here\n/)
  watch.child.kill()
  // Not by mesh down, which would end the engine of both.
  process.kill((await mesh.json(['whoami'], there)).pid, 'SIGTERM')
})

test('what people type is understood', async () => {
  const [one, two] = [
    await mesh.json(['task', 'add', 'one'], as('api')),
    await mesh.json(['task', 'add', 'two'], as('api')),
  ]
  const after = ['--after', one.id, two.id.slice(0, 10), '--label', 'a', '--label', 'b,c']
  const three = await mesh.json(['task', 'add', 'three', ...after], as('api'))
  expect(three).toMatchObject({ after: [one.id, two.id], labels: ['a', 'b', 'c'], state: 'blocked' })
  const titles = async (...args: string[]) =>
    (await mesh.json(['task', 'list', ...args], as('api'))).map(({ title }: { title: string }) => title)
  expect(await titles('blocked')).toEqual(['three'])
  expect(await titles()).toEqual(['one', 'two', 'three'])
  await mesh.json(['task', 'fail', one.id, '--result', 'no'], as('api'))
  expect(await titles('open')).toEqual(['two', 'three'])
  expect(await titles('all')).toHaveLength(3)
  const { error } = await mesh.run(['task', 'claim', three.id, '--json'], as('web'))
  expect(error.message).toContain(`${one.id} (failed)`)
  expect(error.hint).toBe(`mesh task unblock ${three.id} --on ${one.id} goes on without it`)
  const typo = await mesh.run(['tasks'], as('api'))
  expect(typo.stderr).toContain('did you mean: mesh task --help')
})

const badCalls: [string[], number][] = [
  [['task', 'add'], 2],
  [['task', 'add', 'x'.repeat(201)], 2],
  [['task', 'add', '  '], 2],
  [['task', 'add', 'a\nb'], 2],
  [['task', 'add', 'x', '--label', 'Not One'], 2],
  [['task', 'list', 'nonsense'], 2],
  [['task', 'list', 'mine', '--all'], 2],
  [['task', 'add', 'x', '--priority', '10'], 2],
  [['task', 'add', 'x', '--for', 'A B'], 2],
  [['task', 'add', 'x', '--after', `t_${'0'.repeat(32)}`], 3],
  [['task', 'claim'], 2],
  [['task', 'claim', '../x'], 2],
  [['task', 'claim', '--next'], 3],
  [['task', 'claim', '--next', '--wait', '--timeout', '100ms'], 124],
  [['task', 'show', 't_0000'], 3],
  [['task', 'block', 't_0000'], 2],
]

test('a wrong call says so in one line, with its exit code, and leaves nothing', async () => {
  for (const [args, code] of badCalls) {
    const done = await mesh.run(args, as('api'))
    expect([args, done.code, done.stdout]).toEqual([args, code, ''])
    expect(done.stderr).toMatch(/^mesh: [^\n]+\)\n$/)
  }
  expect(await mesh.json(['task', 'list', 'all'], as('web'))).toEqual([])
})

test('a title that hides something is refused; what a foreign writer put on the board is shown', async () => {
  const refused = await mesh.run(['task', 'add', 'red \u001b[31m\u202e alert', '--json'], { as: 'api' })
  expect([refused.code, refused.error.code]).toEqual([2, 'bad_request'])
  expect(refused.error.hint).toContain('--body')
  await mesh.json(['task', 'add', 'plain', '--body', 'red \u001b[31m\u202e alert'], as('api'))
  const { stdout } = await mesh.run(['task', 'claim', '--next'], as('web'))
  expect(stdout).toContain('red \\x1b[31m\\u{202e} alert')
})
