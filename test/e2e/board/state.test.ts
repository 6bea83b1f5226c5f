/** Coordination state by the command alone. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(async () => {
  mesh = new TestMesh()
  await mesh.join('api', 'web')
})
afterEach(() => mesh.dispose())

const as = (name: string) => ({ as: name })
const MIB = 1024 * 1024

test('a value is returned as it was given, with its revisions', async () => {
  expect((await mesh.run(['state', 'set', 'plan', 'parser first'], as('api'))).stdout).toBe('plan set, revision 1\n')
  await mesh.run(['state', 'set', 'limits', '-'], { as: 'api', input: '{"a": [1, 2]}\n' })
  await mesh.run(['state', 'set', 'flag', '--', '-v'], as('api'))
  await mesh.run(['state', 'set', 'plan', 'docs first'], as('api'))
  expect((await mesh.run(['state', 'get', 'plan'], as('api'))).stdout).toBe('docs first\n')
  expect((await mesh.run(['state', 'get', 'plan', '--rev', '1'], as('api'))).stdout).toBe('parser first\n')
  expect((await mesh.run(['state', 'get', 'limits'], as('api'))).stdout).toBe('{"a": [1, 2]}\n')
  expect(await mesh.json(['state', 'get', 'limits'], as('api'))).toEqual({ a: [1, 2] })
  expect(await mesh.json(['state', 'get', 'plan'], as('api'))).toBe('docs first')
  await mesh.run(['state', 'note', 'the clock is flaky'], as('api'))
  await mesh.run(['state', 'rm', 'flag'], as('api'))
  const shown = await mesh.json(['state', 'show'], as('api'))
  expect(shown.entries.map(({ key, value }: { key: string; value: string }) => [key, value])).toEqual([
    ['limits', '{"a": [1, 2]}'],
    ['plan', 'docs first'],
  ])
  expect(shown.obligations).toEqual([])
  expect(shown.notes).toMatchObject([{ text: 'the clock is flaky', by: 'api' }])
  const list = (await mesh.run(['state', 'list'], as('api'))).stdout
  expect(list).toMatch(/^KEY +REV +BY +SET +VALUE\nlimits +2 +api +\d+s ago +\{"a": \[1, 2\]\}\nplan +4 +api/)
  const history = await mesh.json(['state', 'history'], as('api'))
  expect(history.map(({ what, key }: { what: string; key: string | null }) => [what, key])).toEqual([
    ['set', 'plan'],
    ['set', 'limits'],
    ['set', 'flag'],
    ['set', 'plan'],
    ['note', null],
    ['rm', 'flag'],
  ])
  expect((await mesh.json(['state', 'export'], as('api'))).entries).toHaveLength(2)
  expect((await mesh.json(['state', 'show'], as('web'))).entries).toEqual([])
})

test('a shared document takes concurrent changes of different keys; a change of an old revision is refused with what is there', async () => {
  const shared = ['--shared', 'release']
  await Promise.all([
    mesh.run(['state', 'set', 'owner', 'api', ...shared], as('api')),
    mesh.run(['state', 'set', 'branch', 'main', ...shared], as('web')),
  ])
  const keys = (await mesh.json(['state', 'list', ...shared], as('web'))) as { key: string; rev: number }[]
  expect(keys.map(({ key }) => key).sort()).toEqual(['branch', 'owner'])
  const { rev } = keys.find(({ key }) => key === 'owner')!
  await mesh.run(['state', 'set', 'owner', 'web', ...shared, '--if-rev', `${rev}`], as('web'))
  const late = await mesh.run(['state', 'set', 'owner', 'api', ...shared, '--if-rev', `${rev}`, '--json'], as('api'))
  expect([late.code, late.error.code]).toEqual([4, 'conflict'])
  expect(late.error.message).toMatch(/"owner" is at revision 3, set by web at .*, not at [12]$/)
  expect((await mesh.run(['state', 'get', 'owner', ...shared], as('api'))).stdout).toBe('web\n')
})

test('state survives its sidecar and the engine', async () => {
  await mesh.run(['state', 'set', 'plan', 'parser first'], as('api'))
  await mesh.run(['down'])
  await mesh.run(['up'])
  expect((await mesh.run(['state', 'get', 'plan'], as('api'))).stdout).toBe('parser first\n')
})

test('a mebibyte is kept; five are refused and nothing is', async () => {
  const text = 'x'.repeat(MIB)
  await mesh.run(['state', 'set', 'big', '-'], { as: 'api', input: text })
  expect((await mesh.run(['state', 'get', 'big'], as('api'))).stdout === `${text}\n`).toBe(true)
  const refused = await mesh.run(['state', 'set', 'five', '-', '--json'], { as: 'api', input: text.repeat(5) })
  expect([refused.code, refused.error.code]).toEqual([2, 'too_large'])
  const full = await mesh.run(['state', 'set', 'more', 'x', '--json'], as('api'))
  expect([full.code, full.error.code]).toEqual([2, 'too_large'])
  expect((await mesh.json(['state', 'list'], as('api'))).map(({ key }: { key: string }) => key)).toEqual(['big'])
})

test('keys that are paths or properties elsewhere are words here', async () => {
  for (const key of ['../../x', '__proto__', 'constructor', '/etc/passwd']) {
    expect((await mesh.run(['state', 'get', key], as('api'))).code).toBe(3)
    await mesh.run(['state', 'set', key, 'mine'], as('api'))
    expect((await mesh.run(['state', 'get', key], as('api'))).stdout).toBe('mine\n')
  }
  expect(await mesh.json(['state', 'list'], as('api'))).toHaveLength(4)
})

test('a hand-off gives state, tasks, file claims and unread mail, and is refused where nobody takes it', async () => {
  await mesh.run(['state', 'set', 'plan', 'parser first'], as('api'))
  const { id } = await mesh.json(['task', 'add', 'port the parser'], as('api'))
  await mesh.run(['task', 'claim', id], as('api'))
  await mesh.run(['claim', 'src/parser.ts'], as('api'))
  await mesh.run(['send', 'api', '--', 'not read yet'], as('web'))
  const refused = await mesh.run(['handoff', 'nobody', '--json'], as('api'))
  expect([refused.code, refused.error.code]).toEqual([3, 'not_found'])
  expect((await mesh.run(['handoff', 'api'], as('api'))).code).toBe(2)
  const { stdout } = await mesh.run(['handoff', 'web'], as('api'))
  expect(stdout).toBe('handed over: 1 key, 1 task, 1 file claim, 1 message; web has them\n')
  expect((await mesh.run(['state', 'get', 'plan'], as('web'))).stdout).toBe('parser first\n')
  expect((await mesh.json(['task', 'show', id], as('web'))).owner).toBe('web')
  expect(await mesh.json(['claims'], as('api'))).toMatchObject([{ path: 'src/parser.ts', holder: 'web' }])
  expect(await mesh.texts('web')).toEqual(expect.arrayContaining(['not read yet']))
  expect(await mesh.texts('api')).toEqual([])
})

test('what cannot be done is refused in one line, with the right exit code', async () => {
  const cases: [string[], number][] = [
    [['state'], 2],
    [['state', 'set'], 2],
    [['state', 'set', 'k'], 2],
    [['state', 'set', 'k', 'v', '--', 'w'], 2],
    [['state', 'set', '', 'v'], 2],
    [['state', 'set', 'a b', 'v'], 2],
    [['state', 'set', 'a\u0007', 'v'], 2],
    [['state', 'set', 'k'.repeat(10_240), 'v'], 2],
    [['state', 'set', 'k', 'v', '--if-rev', '-1'], 2],
    [['state', 'set', 'k', 'v', '--if-rev', '3'], 4],
    [['state', 'set', 'k', 'v', '--shared', '../x'], 2],
    [['state', 'get', 'k'], 3],
    [['state', 'get', 'k', '--rev', '9'], 3],
    [['state', 'rm', 'k'], 3],
    [['state', 'note'], 2],
  ]
  const results = await Promise.all(cases.map(([args]) => mesh.run(args, as('api'))))
  expect(results.map(({ code }, i) => [cases[i]![0], code])).toEqual(cases)
  for (const { stderr } of results) {
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(stderr.length).toBeLessThan(700)
  }
})
