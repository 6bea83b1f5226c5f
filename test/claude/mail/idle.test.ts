/**
 * A session that sits idle for longer than its hooks may take is woken all the same: the sidecar is a child of a hook
 * with a timeout. Asked for by name (MESH_CLAUDE_FULL) that is 15 minutes, past the client's default of 10; else the
 * hooks of the lab get a timeout of seconds.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { clientVersion, kill, olderVersion } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { type Suite, testNothingLeft, useSuite } from '../support/suite.ts'

const isFull = process.env.MESH_CLAUDE_FULL === '1'
const SHORT_TIMEOUT_S = 2
const IDLE_S = isFull ? 15 * 60 : 3 * SHORT_TIMEOUT_S
const CEILING_MS = IDLE_S * 1000 + 120_000

/** Our hooks as they are, but with less time. */
function hurryHooks({ lab }: Suite): void {
  const settings = readFileSync(lab.settings, 'utf8')
  const hurried = settings.replaceAll(/"timeout": \d+/g, `"timeout": ${SHORT_TIMEOUT_S}`)
  expect(hurried).not.toBe(settings)
  writeFileSync(lab.settings, hurried)
}

/** How long a process has been running, seconds; `[[dd-]hh:]mm:ss` on every system. */
function age(pid: number): number {
  const shown = execFileSync('ps', ['-o', 'etime=', '-p', String(pid)], { encoding: 'utf8' }).trim()
  const [days, clock] = shown.includes('-') ? shown.split('-') : ['0', shown]
  return clock!.split(':').reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days) * 86_400
}

const suites = [useSuite(clientVersion), useSuite(olderVersion)].filter(({ missing }) => !missing)

describe.skipIf(suites.length === 0)('a long idle time', () => {
  const length = isFull ? '15 minutes' : 'longer than its hooks may take'
  test(
    `idle for ${length}, a session is woken by the sidecar that it had`,
    async () => {
      await Promise.all(suites.map(beWokenLate))
    },
    CEILING_MS + 120_000,
  )
})

async function beWokenLate(suite: Suite): Promise<void> {
  const { mesh, model, terminal } = suite
  if (!isFull) hurryHooks(suite)
  const session = await terminal.start()
  const { name } = await mesh.reaches(session.pid, 'idle')
  const sidecar = mesh.sidecarPid(session.pid)
  await eventually('time has passed', () => age(sidecar) > IDLE_S, CEILING_MS)
  const word = `late-${session.pid}`
  const { id } = await mesh.send(name, word)
  const request = await eventually('the model reads it', () => model.saw(word)[0])
  console.log(
    `${suite.version} woken by ${request.fresh.includes('FileChanged') ? 'a watched file' : 'its inbox socket'}`,
  )
  await mesh.traced(id, 'surfaced')
  expect(mesh.sidecarPid(session.pid)).toBe(sidecar)
  kill(session.pid, 'SIGKILL')
  await mesh.reaches(session.pid, 'gone')
}

for (const suite of suites) testNothingLeft(suite)
