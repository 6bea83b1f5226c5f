import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { meshHome, sessionDir, socketPath } from '../../../src/host/home.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('meshHome - absolute, also from a relative MESH_HOME', () => {
  expect(meshHome({ MESH_HOME: 'here' }).root).toBe(join(process.cwd(), 'here'))
  expect(meshHome({ MESH_HOME: './here/' }).run).toBe(join(process.cwd(), 'here', 'run'))
  expect(meshHome({ MESH_HOME: '/srv/mesh/' }).root).toBe('/srv/mesh')
})

test('socketPath - in the session’s directory; one that is too long is the same whatever TMPDIR is', () => {
  expect(socketPath('/srv/mesh/run/cc-1')).toBe('/srv/mesh/run/cc-1/sock')
  const dir = sessionDir(meshHome({ MESH_HOME: `/srv/${'x'.repeat(100)}` }), 'cc-1')
  const path = socketPath(dir)
  expect(path).toMatch(new RegExp(`^/tmp/mesh-${process.getuid!()}/[0-9a-f]{16}\\.sock$`))
  vi.stubEnv('TMPDIR', '/var/elsewhere')
  expect(socketPath(dir)).toBe(path)
})
