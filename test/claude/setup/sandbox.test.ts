/**
 * The client's own sandbox (MESH_CLAUDE_FULL): its model hears and is told how to speak, its commands are refused as a
 * session's, and the setting that doctor names lets them through.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { noSandbox } from '../../support/sandbox.ts'
import { runPrint } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const why =
  missing ??
  noSandbox() ??
  (spawnSync('socat', ['-V']).error ? 'socat is not installed' : null) ??
  (process.env.MESH_CLAUDE_FULL === '1' ? null : 'only by name')

function setSandbox(sandbox: object): void {
  const path = join(suite.lab.env.CLAUDE_CONFIG_DIR!, 'settings.json')
  const settings = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(
    path,
    JSON.stringify({ ...settings, sandbox: { enabled: true, autoAllowBashIfSandboxed: true, ...sandbox } }),
  )
}

/** What the model reads as the result of `mesh whoami` and of a compound command, and at its start. */
async function spoken(script: string): Promise<{ start: string; result: string }> {
  const { model, lab, claude } = suite
  const mesh = `'${process.execPath}' '${meshBin}'`
  const command = `${mesh} whoami; echo "code $?"; cd . && ${mesh} send operator -- from-the-box; echo "code $?"`
  model.script(script, [{ call: [bash(command)] }, { say: 'over' }])
  const run = runPrint(lab, claude, `play ${script}`)
  expect(await run.ended).toBe(0)
  const request = await eventually('the result is read', () =>
    model.requests.findLast(({ fresh }) => /code \d[\s\S]*code \d/.test(fresh)),
  )
  return { start: request.text, result: request.fresh }
}

describe.skipIf(why !== null)(`the client’s sandbox${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test('commands are refused as the session’s, and the start text points to the tools', async () => {
    setSandbox({})
    const { start, result } = await spoken('boxed')
    expect(start).toContain('The sandbox of your shell keeps mesh commands from mesh')
    expect(result.match(/code 5/g)).toHaveLength(2)
    expect(result).toContain('Claude Code’s sandbox')
    expect(result).not.toContain('harness    shell')
  })

  test('the setting that doctor names lets them through, for the session', async () => {
    setSandbox({ network: { allowAllUnixSockets: true }, filesystem: { allowWrite: [suite.lab.env.MESH_HOME] } })
    const { start, result } = await spoken('open')
    expect(start).toContain('mesh send TO -- TEXT')
    expect(result.match(/code 0/g)).toHaveLength(2)
    expect(result).toContain('claude-code')
  })
})

testNothingLeft(suite)
