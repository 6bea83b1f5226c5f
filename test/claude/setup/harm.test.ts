/**
 * (j) Whatever becomes of mesh while its hooks stay in the settings, every prompt goes through unharmed. The client
 * runs its hooks with /bin/sh: where mount namespaces can be had, both shells take that place in turn.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  kill,
  type Lab,
  makeLab,
  processesWith,
  runPrint,
  type StartOptions,
  submit,
  Terminal,
} from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Mesh } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const canMount = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0
if (!canMount) console.error('\nSKIPPED in part: no mount namespaces here, so no full disk and only one /bin/sh\n')

/** A lab with mesh installed that the test may break. */
async function freshLab(): Promise<Lab> {
  const lab = makeLab(suite.model.url, suite.lab.root)
  lab.env.MESH_ENGINE = suite.lab.env.MESH_ENGINE!
  await new Mesh(lab).run('install')
  return lab
}

/** A whole session: a prompt, a tool call, last words. */
async function expectUnharmed(lab: Lab, options: StartOptions = {}, command = 'true'): Promise<void> {
  const { model, claude } = suite
  const script = `harm-${++count}`
  model.script(script, [{ call: [bash(`${command}; echo a-tool-ran`)] }, { say: 'unharmed' }])
  const run = runPrint(lab, claude, `play ${script}`, options)
  expect([await run.ended, run.output()]).toEqual([0, 'unharmed\n'])
  // One more would be a Stop that was refused, one less a prompt or a tool call.
  const requests = model.saw(`play ${script}`)
  expect(requests).toHaveLength(2)
  expect(requests[1]!.fresh).toContain('a-tool-ran')
  expect(requests[1]!.text).not.toMatch(/hook (blocking )?error/i)
  for (const { pid } of processesWith(lab.root)) kill(pid, 'SIGKILL')
}

let count = 0

/** Puts `shell` in the place of /bin/sh for one process, after `prepare`. */
function inNamespace(shell: string, prepare: string): string[] {
  const path = realpathSync(spawnSync('which', [shell], { encoding: 'utf8' }).stdout.trim())
  return ['unshare', '-m', path, '-c', `${prepare}mount --bind '${path}' "$(readlink -f /bin/sh)" && exec "$@"`, 'sh']
}

describe.skipIf(missing).each(canMount ? ['dash', 'bash'] : ['sh'])(
  '(j) prompts go through, /bin/sh is %s',
  (shell) => {
    const wrapped = (prepare = ''): StartOptions => (canMount ? { wrap: inNamespace(shell, prepare) } : {})

    test("with all of mesh's files removed", async () => {
      const lab = await freshLab()
      rmSync(lab.meshHome, { recursive: true })
      await expectUnharmed(lab, wrapped())
      expect(existsSync(lab.meshHome)).toBe(false)
    })

    test('with its run directory gone', async () => {
      const lab = await freshLab()
      rmSync(join(lab.meshHome, 'run'), { recursive: true })
      await expectUnharmed(lab, wrapped())
      expect(readdirSync(lab.meshHome)).toEqual(['hooks', 'installs'])
    })

    test('with its program gone', async () => {
      const lab = await freshLab()
      const script = join(lab.meshHome, 'hooks', 'claude-code.sh')
      writeFileSync(script, readFileSync(script, 'utf8').replace(/^sidecar=.*/m, 'sidecar=/gone/sidecar.js'))
      await expectUnharmed(lab, wrapped())
    })

    test('with everything removed in the middle of a turn', async () => {
      await expectUnharmed(await freshLab(), wrapped(), 'rm -rf "$MESH_HOME"')
    })

    test('with an engine that is down and cannot be started', async () => {
      const lab = await freshLab()
      lab.env.MESH_ENGINE = '/gone/nats-server'
      await expectUnharmed(lab, wrapped())
    })

    test('with the disk full', async ({ skip }) => {
      if (!canMount) skip('no mount namespaces here')
      const lab = await freshLab()
      const run = join(lab.meshHome, 'run')
      const full = `mount -t tmpfs -o size=64k tmpfs '${run}' && head -c 65536 /dev/zero >'${run}/fill'; `
      await expectUnharmed(lab, wrapped(full))
    })
  },
)

test.skipIf(missing)("(j) with all of mesh's files removed a person's prompts go through as well", async () => {
  const lab = await freshLab()
  rmSync(lab.meshHome, { recursive: true })
  const terminal = new Terminal(lab, suite.claude)
  const session = await terminal.start()
  for (const [count, word] of ['first-prompt', 'second-prompt'].entries()) {
    await submit(session, word)
    await eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
    await eventually('it answered', () => session.screen().split('noted').length > count + 1)
  }
  // While it works the client itself says `running UserPromptSubmit hook`.
  expect(session.screen()).not.toMatch(/hook (error|failed|feedback)|blocked/i)
  terminal.close()
})

testNothingLeft(suite)
