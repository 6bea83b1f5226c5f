import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { operatorTarget, refuseHidden, sessionTarget } from '../../../src/client/find.ts'
import { scrub } from '../../../src/client/spawn.ts'
import { type Home, meshHome } from '../../../src/host/home.ts'
import { processSpace } from '../../../src/host/process/space.ts'

let home: Home
beforeEach(() => {
  home = meshHome({ MESH_HOME: mkdtempSync(join(tmpdir(), 'mesh-find-')) })
})
afterEach(() => rmSync(home.root, { recursive: true }))

function record(key: string, content: unknown): void {
  mkdirSync(join(home.run, key), { recursive: true })
  writeFileSync(join(home.run, key, 'sidecar.json'), typeof content === 'string' ? content : JSON.stringify(content))
}

/** A session that has ended, as its own process space shows. */
const gone = { MESH_SESSION: 'cc-1999999999', MESH_SPACE: processSpace() ?? '' }
const mine = `cc-${process.pid}`
const good = { pid: 1, name: 'api', project: 'p', version: '0.1.0' }

test('the session that the environment names', () => {
  record(mine, good)
  const expected = { dir: join(home.run, mine), name: 'api' }
  expect(sessionTarget({ MESH_SESSION: mine }, home)).toMatchObject(expected)
  expect(sessionTarget({ CLAUDE_PID: String(process.pid) }, home)).toMatchObject(expected)
  expect(sessionTarget({ MESH_SESSION: 'cc-1999999999', CLAUDE_PID: String(process.pid) }, home)).toMatchObject(
    expected,
  )
})

test('the client of the shell comes before a variable of an earlier process', () => {
  record(mine, good)
  record(`cc-${process.ppid}`, { ...good, name: 'earlier' })
  const stale = { MESH_SESSION: `cc-${process.ppid}`, CLAUDE_PID: String(process.pid) }
  expect(sessionTarget(stale, home)).toMatchObject({ name: 'api' })
})

test('no session: none named, no record, a dead process, another project, a path', () => {
  expect(sessionTarget({}, home)).toBeNull()
  expect(sessionTarget({ MESH_SESSION: mine }, home)).toBeNull()
  record('cc-1999999999', good)
  expect(sessionTarget(gone, home)).toBeNull()
  expect(() => refuseHidden(gone, home)).not.toThrow()
  record(mine, good)
  expect(sessionTarget({ MESH_SESSION: mine, MESH_PROJECT: 'other' }, home)).toBeNull()
  expect(sessionTarget({ MESH_SESSION: mine, MESH_PROJECT: 'p' }, home)).not.toBeNull()
  for (const key of ['../run/x', `${mine}/../${mine}`, 'op-1', 'cc-', 'cc-0', 'cc-1 ', '']) {
    expect(sessionTarget({ MESH_SESSION: key, CLAUDE_PID: key }, home)).toBeNull()
  }
})

test.each([{ SANDBOX_RUNTIME: '1' }, { MESH_SPACE: 'pid:[1]' }])(
  'a session whose process %j hides is one',
  (hiding) => {
    const hidden = { ...gone, ...hiding }
    expect(sessionTarget(hidden, home)).toBeNull()
    expect(() => refuseHidden(hidden, home)).toThrowError(expect.objectContaining({ code: 'sandboxed' }))
    record('cc-1999999999', good)
    expect(sessionTarget(hidden, home)).toMatchObject({ dir: join(home.run, 'cc-1999999999'), name: 'api' })
  },
)

test('a shell of a session is nobody’s when the session is not on the mesh, or nothing shows it', () => {
  for (const env of [{ MESH_SESSION: mine }, { CLAUDE_PID: String(process.pid), MESH_NAME: 'ann' }])
    expect(() => refuseHidden(env, home)).toThrowError(expect.objectContaining({ code: 'sidecar_down' }))
  const unnamed = { CLAUDE_CODE_SESSION_ID: 'x', SANDBOX_RUNTIME: '1' }
  expect(() => refuseHidden(unnamed, home)).toThrowError(expect.objectContaining({ code: 'sandboxed' }))
  for (const env of [{}, { SANDBOX_RUNTIME: '1' }, { MESH_NAME: 'ann' }])
    expect(() => refuseHidden(env, home)).not.toThrow()
  record(mine, good)
  expect(() => refuseHidden({ MESH_SESSION: mine, MESH_PROJECT: 'other' }, home)).not.toThrow()
})

test('a session that has not joined yet has a directory and no name', () => {
  mkdirSync(join(home.run, mine), { recursive: true })
  expect(sessionTarget({ MESH_SESSION: mine, MESH_PROJECT: 'p' }, home)).toEqual({
    dir: join(home.run, mine),
    socket: join(home.run, mine, 'sock'),
  })
})

test.each(['', '{', 'null', '[]', '{"pid":"1"}', '{"pid":1}'])('a record that is none: %j', (text) => {
  record(mine, text)
  expect(sessionTarget({ MESH_SESSION: mine }, home)?.name).toBeUndefined()
})

test('operators have a directory each, by project and name', () => {
  const at = (project: string, name: string) => operatorTarget(home, { project, worktree: '/', name }).dir
  expect(new Set([at('p', 'a'), at('p', 'b'), at('q', 'a')]).size).toBe(3)
  expect(at('p', 'a')).toBe(at('p', 'a'))
})

test('an operator’s sidecar inherits nothing of a session, and no secrets', () => {
  const env = {
    PATH: '/bin',
    HOME: '/h',
    LC_ALL: 'C',
    XDG_RUNTIME_DIR: '/r',
    https_proxy: 'p',
    MESH_ENGINE: '/e',
    MESH_SESSION: 'cc-1',
    MESH_RUN_ID: 'r_1',
    CLAUDECODE: '1',
    CLAUDE_PID: '1',
    ANTHROPIC_API_KEY: 'secret',
    AWS_SECRET_ACCESS_KEY: 'secret',
    NODE_OPTIONS: '--inspect',
  }
  expect(Object.keys(scrub(env)).sort()).toEqual([
    'HOME',
    'LC_ALL',
    'MESH_ENGINE',
    'PATH',
    'XDG_RUNTIME_DIR',
    'https_proxy',
  ])
})
