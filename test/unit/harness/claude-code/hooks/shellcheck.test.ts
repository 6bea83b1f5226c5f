/** Shellcheck reads every line of shell that mesh puts into people's sessions. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { pluginHooks, settingsHooks } from '../../../../../src/harness/claude-code/hooks/entries.ts'
import { hookScript } from '../../../../../src/harness/claude-code/hooks/script.ts'

const root = fileURLToPath(new URL('../../../../..', import.meta.url))
const isHere = spawnSync('shellcheck', ['--version']).status === 0

const home = "/home/dev's/mesh home"
const lines = [settingsHooks(home), pluginHooks(home), pluginHooks(null)].flatMap((hooks) =>
  Object.entries(hooks).flatMap(([event, list]) => list.map(({ command }): [string, string] => [event, command])),
)
const scripts: [string, string][] = [
  ['the hook script', hookScript({ home, node: '/usr/bin/node', sidecar: '/opt/mesh/sidecar.js' })],
  ["the plugin's prepare.sh", readFileSync(`${root}/plugin/hooks/prepare.sh`, 'utf8')],
  ...lines.map(([event, line]): [string, string] => [`the line of ${event}: ${line}`, `#!/bin/sh\n${line}\n`]),
]

const tool = isHere ? 'shellcheck' : 'shellcheck, which is not installed,'
test.skipIf(!isHere).each(scripts)(`${tool} finds nothing in %s`, (_, text) => {
  const { status, stdout } = spawnSync('shellcheck', ['-'], { input: text, encoding: 'utf8' })
  expect([status, stdout]).toEqual([0, ''])
})
