/** Two real sessions that only answer each other, and a ping that proves a door. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const LIMIT = 3
const suite = useSuite()

interface Pair {
  name: string
  with: string
  rounds: number
  held: number
}

let living: { session: Interactive; name: string }[] = []
afterEach(async () => {
  for (const { session } of living) {
    kill(session.pid, 'SIGKILL')
    await suite.mesh.reaches(session.pid, 'gone')
  }
  living = []
})

async function start() {
  const session = await suite.terminal.start()
  const { name } = await suite.mesh.reaches(session.pid, 'idle')
  living.push({ session, name })
  return { session, name }
}

describe.skipIf(missing)('people and loops', () => {
  test('sessions that only answer each other stop at the budget; a person lets them go on, nothing is lost', async () => {
    const { model, mesh, lab } = suite
    writeFileSync(join(lab.meshHome, 'settings.json'), JSON.stringify({ loopRounds: LIMIT }))
    const [a, b] = [await start(), await start()]
    model.script('kick', [{ call: [bash(`node '${meshBin}' send ${b.name} -- "play pong"`)] }, { say: 'sent' }])
    model.script('pong', [
      ({ fresh }) => {
        const id = [...fresh.matchAll(/\[(m_[0-9a-f]{10}) from/g)].at(-1)![1]
        return { call: [bash(`node '${meshBin}' reply ${id} -- "play pong"`)] }
      },
      { say: 'answered' },
    ])
    await submit(a.session, 'play kick')
    const holds = async () => (await mesh.json<Pair[]>('budget', '--json')).filter(({ held }) => held > 0)
    const [hold] = await eventually('a hold', async () => ((await holds()).length > 0 ? holds() : undefined))
    expect(hold).toMatchObject({ rounds: LIMIT, held: 1 })
    for (const { session } of living) await mesh.reaches(session.pid, 'idle')
    const answers = () =>
      model.requests.filter(({ fresh }) => /\[m_[0-9a-f]{10} from[^\]]*\]\nplay pong/.test(fresh)).length
    const before = answers()
    // The one that began hears one answer more than it counts rounds of the other.
    expect(before).toBeLessThanOrEqual(2 * LIMIT + 1)
    const table = await mesh.run('ps')
    expect(table).toContain(`1 held from ${hold!.with}: mesh budget resume ${hold!.name}`)
    const told = await eventually('the people are told', async () => {
      const messages = await mesh.json<{ from: string; text: string }[]>('inbox', '--json')
      return messages.find(({ text }) => text.includes('answered each other'))
    })
    expect(told.from).toBe('mesh')

    await mesh.run('budget', 'resume', hold!.name)
    await eventually('they go on, and are held again', async () => {
      const again = await holds()
      return answers() > before + 2 && again.length > 0
    })
    for (const { session } of living) await mesh.reaches(session.pid, 'idle')
    // Each answer was read once: as many as were sent, but for the one that is held.
    const sent = model.requests.filter(({ fresh }) => /m_[0-9a-f]{32} stored/.test(fresh)).length
    expect(answers()).toBe(sent - 1)
  })

  test('ping --wake proves the inbox socket of an idle session, and ps shows it; ping alone leaves the model alone', async () => {
    const { model, mesh } = suite
    const { session, name } = await start()
    const count = model.requests.length
    expect(await mesh.run('ping', name)).toMatch(/answered in [\d.]+ ms: idle/)
    expect(model.requests.length).toBe(count)
    const pinged = await mesh.json<{ door: string; state: string; ms: number; evidence: string }>(
      ...['ping', name, '--wake', '--json'],
    )
    console.log(`ping --wake: ${JSON.stringify(pinged)}`)
    expect(pinged).toMatchObject({ door: 'inbox-socket', state: 'surfaced' })
    expect(model.saw('no answer needed').at(-1)?.fresh).toContain('mesh ping from')
    await mesh.reaches(session.pid, 'idle')
    expect(await mesh.run('ps')).toMatch(new RegExp(`${name} .*inbox-socket proven \\d+s ago`))
  })
})

testNothingLeft(suite)
