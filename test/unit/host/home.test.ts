import { userInfo } from 'node:os'
import { afterEach, expect, test, vi } from 'vitest'
import { meshHome, sessionDir, socketPath } from '../../../src/host/home.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('meshHome - absolute: a relative MESH_HOME or HOME would be another one in each folder', () => {
  expect(meshHome({ MESH_HOME: '/srv/mesh/' }).root).toBe('/srv/mesh')
  for (const env of [{ MESH_HOME: 'here' }, { MESH_HOME: './here/' }, { HOME: 'here' }])
    expect(() => meshHome(env), JSON.stringify(env)).toThrow(expect.objectContaining({ code: 'bad_request' }))
})

test('meshHome - an empty HOME is that of the user, a relative XDG_STATE_HOME is none', () => {
  const usual = meshHome({ HOME: userInfo().homedir }).root
  expect(meshHome({ HOME: '' }).root).toBe(usual)
  expect(meshHome({}).root).toBe(usual)
  expect(meshHome({ XDG_STATE_HOME: 'state' }).root).toBe(usual)
})

test('socketPath - in the session’s directory; one that is too long is the same whatever TMPDIR is', () => {
  expect(socketPath('/srv/mesh/run/cc-1')).toBe('/srv/mesh/run/cc-1/sock')
  const dir = sessionDir(meshHome({ MESH_HOME: `/srv/${'x'.repeat(100)}` }), 'cc-1')
  const path = socketPath(dir)
  expect(path).toMatch(new RegExp(`^/tmp/mesh-${process.getuid!()}/[0-9a-f]{16}\\.sock$`))
  vi.stubEnv('TMPDIR', '/var/elsewhere')
  expect(socketPath(dir)).toBe(path)
})
