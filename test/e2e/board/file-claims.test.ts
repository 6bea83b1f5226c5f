/** Claims on files by the command alone. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
let repository: string
let worktree: string
beforeEach(async () => {
  mesh = new TestMesh()
  repository = join(mesh.root, 'shop')
  worktree = join(mesh.root, 'shop-fix')
  mkdirSync(join(repository, 'src', 'app', '[id]'), { recursive: true })
  mkdirSync(join(mesh.root, 'elsewhere'))
  writeFileSync(join(repository, 'src', 'a.ts'), '')
  writeFileSync(join(repository, '{x,y}'), '')
  symlinkSync('src', join(repository, 'link'))
  symlinkSync(join(mesh.root, 'elsewhere'), join(repository, 'out'))
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { stdio: 'ignore' })
  execFileSync('git', ['init', '-q', repository])
  git('commit', '--allow-empty', '-m', 'first')
  git('worktree', 'add', '-b', 'fix', worktree)
  await mesh.join('api', 'web')
})
afterEach(() => mesh.dispose())

const as = (name: string, cwd = repository) => ({ as: name, cwd })

test('a claim from its making to its end is seen from every worktree', async () => {
  const claimed = await mesh.json(['claim', 'src/a.ts', 'docs/**', '--for', '2h', '--why', 'new grammar'], as('api'))
  expect(claimed).toEqual([
    expect.objectContaining({ path: 'src/a.ts', holder: 'api', mine: true, why: 'new grammar', because: null }),
    expect.objectContaining({ path: 'docs/**', holder: 'api' }),
  ])
  expect(Date.parse(claimed[0].until) - Date.parse(claimed[0].since)).toBe(7_200_000)
  // All or none.
  const refused = await mesh.run(['claim', 'free', 'src', '--json'], as('web', worktree))
  expect([refused.code, refused.error.code]).toEqual([4, 'conflict'])
  expect(refused.error.message).toMatch(/^"src" is held by api as "src\/a\.ts" since 20.*Z until 20.*Z: new grammar$/)
  expect(refused.error.hint).toContain('nothing was claimed; mesh ask api -- ')
  expect((await mesh.json(['claims'], as('web', worktree))).map(({ path }: { path: string }) => path)).toEqual([
    'docs/**',
    'src/a.ts',
  ])
  expect(await mesh.json(['claims', 'docs/deep/x.md'], as('web'))).toHaveLength(1)
  expect(await mesh.json(['claims', 'test'], as('web'))).toEqual([])
  const listed = (await mesh.run(['claims'], as('api', join(repository, 'src')))).stdout
  expect(listed).toMatch(/^PATH +HOLDER +UNTIL +WHY\ndocs\/\*\* +api \(you\) +20/)
  const foreign = await mesh.run(['release', 'src/a.ts', '--json'], as('web'))
  expect([foreign.code, foreign.error.code]).toEqual([3, 'not_found'])
  expect((await mesh.run(['release', 'a.ts'], as('api', join(repository, 'src')))).stdout).toBe('src/a.ts released\n')
  expect(await mesh.json(['release', '--all'], as('api'))).toEqual([{ path: 'docs/**' }])
  expect((await mesh.run(['claims'], as('web'))).stdout).toBe('no claims\n')
})

test('spellings of one path are one path; what looks like a shell pattern is a name', async () => {
  const ways = [
    'link/a.ts',
    './src/../src/a.ts',
    'src//a.ts',
    join(repository, 'src', 'a.ts'),
    join(worktree, 'src/a.ts'),
  ]
  for (const way of ways) {
    expect((await mesh.json(['claim', way], as('api'))).map(({ path }: { path: string }) => path)).toEqual(['src/a.ts'])
  }
  for (const [given, path] of [
    ['{x,y}', '{x,y}'],
    ['src/app/[id]/new.tsx', 'src/app/[id]/new.tsx'],
    ['src/', 'src'],
  ]) {
    expect((await mesh.json(['claim', given!], as('api')))[0].path).toBe(path)
  }
  expect((await mesh.json(['claim', '.'], as('api')))[0].path).toBe('**')
  expect(await mesh.json(['claims'], as('api'))).toHaveLength(5)
})

test('a rename takes the claims along; a claim ends at its time', async () => {
  await mesh.json(['claim', 'src/**'], as('api'))
  await mesh.json(['claim', 'short', '--for', '1s'], as('api'))
  await mesh.run(['rename', 'core'], as('api'))
  expect((await mesh.json(['claims', 'src/x'], as('web')))[0].holder).toBe('core')
  await expect.poll(() => mesh.run(['claim', 'short'], as('web')).then(({ code }) => code), { timeout: 30_000 }).toBe(0)
})

const bad: [string[], number][] = [
  [['claim'], 2],
  [['claim', ''], 2],
  [['claim', '../other'], 2],
  [['claim', '/etc/passwd'], 2],
  [['claim', 'out/x'], 2],
  [['claim', 'src/*/../../..'], 2],
  [['claim', 'a\nb'], 2],
  [['claim', 'a\\b'], 2],
  [['claim', 'src/{a,b}.ts'], 2],
  [['claim', '*'.repeat(10_240)], 2],
  [['claim', 'x', '--for', 'never'], 2],
  [['claim', 'x', '--for', '0s'], 2],
  [['claim', 'x', '--for', '400h'], 2],
  [['claim', 'x', '--why', 'w'.repeat(201)], 2],
  [['claim', ...Array.from({ length: 65 }, (_, i) => `f${i}`)], 2],
  [['release'], 2],
  [['release', 'x', '--all'], 2],
  [['release', 'x'], 3],
]
test('bad input is refused with a reason and leaves nothing', async () => {
  const refusals = await Promise.all(bad.map(([args]) => mesh.run([...args, '--json'], as('api'))))
  for (const [i, { code, error }] of refusals.entries()) {
    expect([bad[i]![0].join(' ').slice(0, 80), code]).toEqual([bad[i]![0].join(' ').slice(0, 80), bad[i]![1]])
    expect(error.message.length).toBeLessThan(300)
    expect(error.hint).not.toBe('')
    if (process.env.SHOW) console.log(bad[i]![0].join(' ').slice(0, 60), '→', error)
  }
  expect(await mesh.json(['claims'], as('api'))).toEqual([])
})
