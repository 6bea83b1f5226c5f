/** Doctor says whether sessions have loaded mesh's module, and else why not. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { lookAtModule } from '../../../src/doctor/checks/module.ts'
import type { SessionLook } from '../../../src/doctor/look/session.ts'
import type { Setup } from '../../../src/doctor/setup.ts'
import { installClaudeCode } from '../../../src/harness/claude-code/install/install.ts'
import { placePlugin, pluginFiles } from '../../../src/harness/claude-code/install/plugin.ts'
import { meshHome } from '../../../src/host/home.ts'
import { temporaryDir } from '../../support/engine.ts'

// From the source the command would look for its package elsewhere.
vi.mock(import('../../../src/client/spawn.ts'), async (original) => ({
  ...(await original()),
  sidecarPath: fileURLToPath(new URL('../../../dist/sidecar.js', import.meta.url)),
}))

const packageDir = fileURLToPath(new URL('../../..', import.meta.url))
let temporary: ReturnType<typeof temporaryDir>
beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(() => temporary.remove())

async function look({ version = '2.1.332', settings = {}, doors = [] as string[], place = true } = {}) {
  const at = (name: string) => join(temporary.path, name)
  mkdirSync(at('bin'))
  writeFileSync(at('bin/claude'), `#!/bin/sh\necho '${version} (Claude Code)'\n`, { mode: 0o755 })
  const env = { PATH: `${at('bin')}:/usr/bin:/bin`, HOME: temporary.path, CLAUDE_CONFIG_DIR: at('config') }
  const home = meshHome({ MESH_HOME: at('mesh') })
  mkdirSync(at('config'))
  writeFileSync(at('config/settings.json'), JSON.stringify(settings))
  installClaudeCode({ env, home, sidecarPath: '/opt/sidecar.js', nodePath: process.execPath })
  if (place) placePlugin(home, pluginFiles(home, packageDir, 'module'), 'module')
  const health = { name: 'web', doors: doors.map((name) => ({ name, state: 'available' })) }
  const session = { key: 'cc-1', name: 'web', health } as Partial<SessionLook> as SessionLook
  const setup = { env, home, top: temporary.path, sessions: async () => [session] } as Partial<Setup> as Setup
  return lookAtModule(setup)
}

const enabled = { enabledPlugins: { 'mesh@sessionmesh-module': true } }

test.each<[string, Parameters<typeof look>[0], boolean, string]>([
  ['loaded', { settings: enabled, doors: ['mod', 'hook'] }, true, 'loaded by web'],
  ['not by a session that began before', { settings: enabled, doors: ['hook'] }, true, 'not by web: begun before it'],
  ['not installed', {}, true, 'not installed: mesh install adds it'],
  ['an older client', { version: '2.1.197' }, true, 'not loaded: Claude Code 2.1.197 has no modules'],
  ['switched off', { settings: { ...enabled, disableAllHooks: true } }, true, 'disableAllHooks'],
  ['another version', { settings: enabled, place: false }, false, 'is not the one of this version'],
])('%s', async (_, more, ok, words) => {
  expect(await look(more)).toEqual([expect.objectContaining({ ok, detail: expect.stringContaining(words) })])
})
