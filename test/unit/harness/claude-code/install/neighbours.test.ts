/** What doctor says of the folder it runs in: whether hooks reach it, and what else is there. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { type Inspection, inspectClaudeCode } from '../../../../../src/harness/claude-code/install/inspect.ts'
import { scrubbedEnv } from '../../../../support/engine.ts'
import { env, home, install, root, useUser, write } from './lab.ts'

useUser()

const packageDir = fileURLToPath(new URL('../../../../..', import.meta.url))
const inspect = (top: string, over: object = {}): Inspection =>
  inspectClaudeCode({ env: { ...env, ...over }, home: home(), top, packageDir })

function git(cwd: string, ...args: string[]): void {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'protocol.file.allow=always']
  execFileSync('git', [...identity, ...args], { cwd, env: scrubbedEnv({ HOME: root }), stdio: 'pipe' })
}

test('hooks of a repository reach its worktrees, no submodule, and no other worktree of a bare one', () => {
  const at = (...parts: string[]) => join(root, ...parts)
  mkdirSync(at('main'))
  git(at('main'), 'init', '-q')
  git(at('main'), 'commit', '-q', '--allow-empty', '-m', 'x')
  git(at('main'), 'worktree', 'add', '-q', at('sibling'))
  git(root, 'clone', '-q', at('main'), 'library')
  git(at('main'), 'submodule', '-q', 'add', at('library'), 'sub')
  git(root, 'clone', '-q', '--bare', at('main'), 'bare.git')
  for (const name of ['b1', 'b2']) git(at('bare.git'), 'worktree', 'add', '-q', at(name))
  install({ project: at('main') })
  install({ project: at('b1') })
  const reached = (path: string) => inspect(path).isReached
  expect(['main', 'sibling', 'main/sub', 'b1', 'b2'].filter((name) => reached(at(name)))).toEqual([
    'main',
    'sibling',
    'b1',
  ])
  install()
  expect(reached(at('b2'))).toBe(true)
})

test('installs of other configurations are named from each', () => {
  const [one, two] = [join(root, 'one'), join(root, 'two')]
  for (const CLAUDE_CONFIG_DIR of [one, two]) install({ env: { ...env, CLAUDE_CONFIG_DIR } })
  expect(inspect(root).elsewhere).toEqual([join(one, 'settings.json'), join(two, 'settings.json')])
  expect(inspect(root, { CLAUDE_CONFIG_DIR: one }).elsewhere).toEqual([join(two, 'settings.json')])
  install()
  expect(inspect(root, { CLAUDE_CONFIG_DIR: one }).elsewhere[0]).toBe(join(root, '.claude', 'settings.json'))
})

test('hooks and servers of other products with the name are found, mesh’s own are not', () => {
  write({
    hooks: {
      Stop: [{ hooks: [{ type: 'command', command: 'agent-mesh hook stop' }] }],
      Other: [{ hooks: [{ type: 'command', command: 'say done' }] }, 'odd'],
    },
  })
  install()
  const servers = {
    'agent-mesh': { command: 'agent-mesh', args: ['mcp'] },
    mesh: { command: 'mesh', args: ['mcp'] },
    own: { command: 'node', args: ['/opt/mesh/bin/mesh.js', 'mcp'] },
    files: { command: '/home/me/mesh/files', args: [] },
  }
  writeFileSync(
    join(root, '.claude.json'),
    JSON.stringify({ mcpServers: servers, projects: { [root]: { mcpServers: { 'x-mesh': {} } } } }),
  )
  expect(inspect(root).strangers.map(({ what }) => what)).toEqual(['agent-mesh hook stop', 'agent-mesh', 'x-mesh'])
})
