import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromPublic } from '@nats-io/nkeys'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { quoteValue, renderConfig, storeCap } from '../../../src/engine/config.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { type Home, meshHome } from '../../../src/host/home.ts'
import { bundleProgram, runProgram, temporaryDir } from '../../support/engine.ts'

const GIB = 1024 ** 3
const MIB = 1024 ** 2

let temporary: { path: string; remove: () => void }
let home: Home

beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: join(temporary.path, 'home') })
})
afterEach(() => temporary.remove())

test('engineUser - the nkeys package reads the key and accepts the signature', () => {
  const user = engineUser(home)
  const nonce = Buffer.from('a nonce of the server')
  const key = fromPublic(user.publicKey)
  expect(user.publicKey).toMatch(/^U[A-Z2-7]{55}$/)
  expect(key.verify(nonce, user.sign(nonce))).toBe(true)
  expect(key.verify(Buffer.from('another'), user.sign(nonce))).toBe(false)
})

test('engineUser - one key per home, private, made once', () => {
  const path = join(home.engine, 'user.key')
  const first = engineUser(home).publicKey
  expect(engineUser(home).publicKey).toBe(first)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(engineUser(meshHome({ MESH_HOME: join(temporary.path, 'other') })).publicKey).not.toBe(first)
})

test('engineUser - a damaged key is reported, not replaced', () => {
  engineUser(home)
  const path = join(home.engine, 'user.key')
  writeFileSync(path, 'damaged')
  expect(() => engineUser(home)).toThrowError(expect.objectContaining({ code: 'denied' }))
  expect(readFileSync(path, 'utf8')).toBe('damaged')
})

test('engineUser - ten processes at once make one key', { timeout: 60_000 }, async () => {
  const program = await bundleProgram(
    `import { engineUser } from '../../src/engine/nkey.ts'
     import { meshHome } from '../../src/host/home.ts'
     console.log(engineUser(meshHome(process.env)).publicKey)`,
    join(temporary.path, 'user.mjs'),
  )
  const runs = Array.from({ length: 10 }, () => runProgram(program, { MESH_HOME: home.root }))
  const keys = (await Promise.all(runs)).map((run) => run.stdout.trim())
  expect(new Set(keys)).toEqual(new Set([engineUser(home).publicKey]))
})

test('storeCap - half of the free space, at most 64 GiB, above what is stored', () => {
  expect(storeCap(0, 10 * GIB, '/d')).toBe(5 * GIB)
  expect(storeCap(3 * GIB, 10 * GIB, '/d')).toBe(8 * GIB)
  expect(storeCap(0, 1000 * GIB, '/d')).toBe(64 * GIB)
  expect(storeCap(0, 64 * MIB, '/d')).toBe(32 * MIB)
})

test('storeCap - too little space is reported with the directory and the figures', () => {
  expect(() => storeCap(GIB, 63 * MIB, '/data')).toThrowError(
    expect.objectContaining({ code: 'store_full', message: 'only 63 MiB are free for /data, the engine needs 64 MiB' }),
  )
})

test('quoteValue - escapes what would end or change a string', () => {
  expect(quoteValue('a "b" \\ $HOME # é')).toBe('"a \\"b\\" \\\\ $HOME # é"')
  expect(quoteValue('a\nb')).toBe('"a\\nb"')
})

test('renderConfig - loopback only, one nkey user, every message synced', () => {
  const files = { dataDir: '/d', logFile: '/l', pidFile: '/p' }
  const text = renderConfig({ serverName: 'n', port: 1234, userKey: 'UKEY', maxFileBytes: 7, ...files })
  expect(text).toContain('listen: "127.0.0.1:1234"')
  expect(text).toContain('users: [ { nkey: UKEY } ]')
  expect(text).toContain('sync_interval: always')
  expect(text).toContain('max_file: 7')
  expect(text).not.toMatch(/http|no_auth_user|0\.0\.0\.0/)
})
