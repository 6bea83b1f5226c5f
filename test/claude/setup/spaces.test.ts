/** The real client's own sandbox, opened for mesh: its shell is another process space, beside an engine that is killed. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { engineStatus } from '../../../src/engine/engine.ts'
import { readRecord } from '../../../src/engine/record.ts'
import { meshHome } from '../../../src/host/home.ts'
import { processSpace } from '../../../src/host/process/space.ts'
import { serversOf } from '../../support/engine.ts'
import { noSandbox } from '../../support/sandbox.ts'
import { kill, runPrint } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const ROUNDS = process.env.MESH_CLAUDE_FULL === '1' ? 50 : 3
/** The client makes its sandbox with these. */
const why = noSandbox() ?? (spawnSync('socat', ['-V']).error ? 'socat is not installed' : null)

const suite = useSuite()

describe.skipIf(missing || why)(`in the client’s sandbox${why ? ` (skipped: ${why})` : ''}`, () => {
  test(`${ROUNDS} rounds of its shell: one engine, nothing acknowledged lost, nobody gone`, {
    timeout: 600_000,
  }, async () => {
    const { lab, model, mesh, claude } = suite
    const home = meshHome(lab.env)
    const settings = JSON.parse(readFileSync(lab.settings, 'utf8'))
    const sandbox = {
      enabled: true,
      network: { allowAllUnixSockets: true },
      filesystem: { allowWrite: [lab.meshHome] },
    }
    writeFileSync(lab.settings, JSON.stringify({ ...settings, sandbox }))
    await mesh.run('whoami', '--as', 'ceo')
    const command = (...args: string[]) => [process.execPath, meshBin, ...args].join(' ')
    const round = (n: number) =>
      [
        'readlink /proc/self/ns/pid',
        command('send', 'ceo', '--json', '--', `round-${n}`),
        `${command(['ps', 'status', 'up', 'down', 'doctor'][n % 5]!, '--as', `probe-${n % 2}`)} 2>&1 | tail -n 1`,
      ].join('; ')
    const step = (n: number) => async () => {
      // While the commands of the round before this one are over, and those of this one begin.
      void sleep(Math.random() * 500).then(() => kill(engineStatus(home).pid ?? 0, 'SIGKILL'))
      return { call: [bash(round(n))] }
    }
    model.script('rounds', [...Array.from({ length: ROUNDS }, (_, n) => step(n)), { say: 'done' }])
    const run = runPrint(lab, claude, 'play rounds')
    expect(await run.ended, run.output()).toBe(0)
    const said = model.requests.filter(({ auxiliary }: ModelRequest) => !auxiliary).map(({ fresh }) => fresh)
    const spaces = said.flatMap((text) => text.match(/pid:\[\d+\]/g) ?? [])
    expect(spaces.filter((space) => space === processSpace())).toEqual([])
    const ids = said.flatMap((text) =>
      [...text.matchAll(/"id":"(m_\w+)","state":"(?:stored|queued)"/g)].map(([, id]) => id!),
    )
    console.log(`the client's sandbox: ${ids.length} of ${ROUNDS} sent, in ${new Set(spaces).size} process spaces`)
    expect(ids.length).toBeGreaterThan(ROUNDS / 2)
    const arrived = new Set<string>()
    await eventually(
      () => `all arrive, but: ${ids.filter((id) => !arrived.has(id))}`,
      async () => {
        for (const { id } of await mesh.json<{ id: string }[]>('inbox', '--json', '--as', 'ceo')) arrived.add(id)
        return ids.every((id) => arrived.has(id))
      },
    )
    expect(serversOf(home)).toHaveLength(1)
    expect(readRecord(home)?.space).toBe(processSpace())
    expect((await mesh.ps()).find(({ name }) => name === 'ceo')?.status).toBe('idle')
  })
})

testNothingLeft(suite)
