/** A user with a mesh home and settings of Claude Code, where tests install and uninstall. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { type InstallOptions, installClaudeCode } from '../../../../../src/harness/claude-code/install/install.ts'
import { uninstallClaudeCode } from '../../../../../src/harness/claude-code/install/uninstall.ts'
import { meshHome } from '../../../../../src/host/home.ts'

export let root: string
export let settings: string
export let env: { HOME: string; MESH_HOME: string; PATH: string }
export const home = () => meshHome(env)
export const install = (over: Partial<InstallOptions> = {}) =>
  installClaudeCode({ env, home: home(), sidecarPath: '/opt/mesh/sidecar.js', nodePath: '/usr/bin/node', ...over })
export const uninstall = (cwd?: string) => uninstallClaudeCode({ env, home: home(), ...(cwd ? { cwd } : {}) })
export const read = (path = settings) => JSON.parse(readFileSync(path, 'utf8'))
export const write = (value: unknown, path = settings) => writeFileSync(path, JSON.stringify(value))

export function prepare(): void {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-uninstall-')))
  env = { HOME: root, MESH_HOME: join(root, 'mesh'), PATH: '/nowhere' }
  mkdirSync(join(root, '.claude'))
  settings = join(root, '.claude', 'settings.json')
}
export const cleanUp = () => rmSync(root, { recursive: true })

/** Gives each test of a file a user of its own. */
export function useUser(): void {
  beforeEach(prepare)
  afterEach(cleanUp)
}
