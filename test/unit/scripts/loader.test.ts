/** The code caches of the built programs, which are code: what does not fit is never loaded. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { meshHome } from '../../../src/host/home.ts'
import { temporaryDir } from '../../support/engine.ts'

const loader = fileURLToPath(new URL('../../../scripts/loader.cjs', import.meta.url))
const ID = 'a'.repeat(32)
/** Says whether this very function came from a cache: one that was compiled has not run yet. */
const PROGRAM = `//${ID}\nconsole.log(process.argv.slice(2).join(' '))\n`

let temporary: ReturnType<typeof temporaryDir>
let dist: string

beforeEach(() => {
  temporary = temporaryDir()
  dist = join(temporary.path, 'dist')
  mkdirSync(dist)
  writeFileSync(join(dist, 'package.json'), '{ "type": "commonjs" }')
  for (const name of ['cli.cjs', 'supervisor.js']) copyFileSync(loader, join(dist, name))
  for (const name of ['mesh.cjs', 'supervisor.cjs']) writeFileSync(join(dist, name), PROGRAM)
})

afterEach(() => {
  chmodSync(dist, 0o700)
  temporary.remove()
})

function run(program = 'cli.cjs', flags: string[] = [], env: Record<string, string> = {}): string {
  const options = { encoding: 'utf8', env: { HOME: temporary.path, ...env } } as const
  return execFileSync(process.execPath, [...flags, join(dist, program), 'hello'], options)
}

const caches = (dir = join(dist, 'cache')) => readdirSync(dir)
const only = (dir?: string) => join(dir ?? join(dist, 'cache'), caches(dir)[0]!)

test('loader - the first run leaves a cache, named by Node, platform, arch and flags', () => {
  expect(run()).toBe('hello\n')
  const { version, platform, arch } = process
  expect(caches()).toEqual([`mesh-${version}-${platform}-${arch}-full.cache`])
  expect(run('supervisor.js', ['--lite-mode', '--no-jitless'])).toBe('hello\n')
  expect(caches()).toContain(`supervisor-${version}-${platform}-${arch}-lite.cache`)
})

test('loader - a cache that fits is loaded and left as it is', () => {
  run()
  const before = readFileSync(only())
  expect(run()).toBe('hello\n')
  expect(readFileSync(only()).equals(before)).toBe(true)
})

test.for([
  ['Node', process.version, 'v20.0.0'],
  ['V8', process.versions.v8, '11.3.244.8-node.1'],
  ['platform', `\n${process.platform}\n`, '\nplan9\n'],
  ['arch', `\n${process.arch}\n`, '\npdp11\n'],
  ['bundle', ID, 'b'.repeat(32)],
])('loader - a cache of another %s is left aside and made anew', ([, ours, theirs]) => {
  run()
  const good = readFileSync(only())
  // Code that V8 would take as it is and crash on, as it does on the byte code of another Node of its version.
  const end = good.lastIndexOf(`\n${ID}\n`)
  const id = good.toString('latin1', end).replace(ours!, theirs!)
  writeFileSync(only(), Buffer.concat([good.subarray(0, 64), Buffer.alloc(end - 64, 0xff), Buffer.from(id)]))
  expect(run()).toBe('hello\n')
  expect(readFileSync(only()).subarray(end).toString()).toBe(good.subarray(end).toString())
})

test('loader - a cache that is cut off, or no cache, is left aside', () => {
  for (const content of ['', 'rubbish', ID]) {
    run()
    writeFileSync(only(), content)
    expect(run()).toBe('hello\n')
    expect(readFileSync(only()).length).toBeGreaterThan(100)
  }
})

test.skipIf(process.getuid?.() === 0)(
  'loader - a package that cannot be written has its caches in the mesh home',
  () => {
    const env = { MESH_HOME: join(temporary.path, 'home') }
    chmodSync(dist, 0o500)
    expect(run('cli.cjs', [], env)).toBe('hello\n')
    mkdirSync(env.MESH_HOME)
    expect(run('cli.cjs', [], env)).toBe('hello\n')
    expect(caches(join(env.MESH_HOME, 'cache'))).toHaveLength(1)
  },
)

test('loader - the mesh home is the one that the programs use', () => {
  rmSync(join(dist, 'cache'), { recursive: true, force: true })
  writeFileSync(join(dist, 'cache'), '')
  for (const env of [{ MESH_HOME: join(temporary.path, 'm') }, { XDG_STATE_HOME: join(temporary.path, 'x') }, {}]) {
    const { root } = meshHome({ HOME: temporary.path, ...env })
    mkdirSync(root, { recursive: true })
    run('cli.cjs', [], env as Record<string, string>)
    expect(caches(join(root, 'cache'))).toHaveLength(1)
    expect(statSync(join(root, 'cache')).mode & 0o777).toBe(0o700)
    expect(statSync(only(join(root, 'cache'))).mode & 0o777).toBe(0o600)
  }
})

test('loader - a cache that others may write to is not trusted', () => {
  run()
  chmodSync(join(dist, 'cache'), 0o777)
  const good = readFileSync(only())
  const end = good.lastIndexOf(`\n${ID}\n`)
  writeFileSync(only(), Buffer.concat([good.subarray(0, 64), Buffer.alloc(end - 64, 0xff), good.subarray(end)]))
  expect(run()).toBe('hello\n')
})

test('loader - with flags that are not mesh’s a cache is not made', () => {
  expect(run('cli.cjs', ['--no-opt'])).toBe('hello\n')
  expect(run('cli.cjs', [], { NODE_OPTIONS: '--max-old-space-size=400' })).toBe('hello\n')
  expect(() => caches()).toThrow('ENOENT')
})
