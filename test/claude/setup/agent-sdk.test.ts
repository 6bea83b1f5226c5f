/** The Agent SDK is a client too: what its host does not switch off joins, is woken and ends truthfully. */
import { describe, expect, test } from 'vitest'
import { findSdk, runSdk } from '../support/agent-sdk.ts'
import { newestVersion } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import type { Session } from '../support/mesh.ts'
import { testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite(newestVersion, true)
const found = process.env.MESH_CLAUDE_FULL === '1' ? findSdk() : { missing: 'only at full length' }
if ('missing' in found) console.error(`SKIPPED: sessions of the Agent SDK: ${found.missing}`)
const isMissing = suite.missing || 'missing' in found
const sdk = 'path' in found ? found.path : ''

describe.skipIf(isMissing)('a session run by the Agent SDK', () => {
  const sessions = async () => (await suite.mesh.ps()).filter(({ harness }) => harness === 'claude-code')

  test('with default settings it joins, is woken and ends truthfully', async () => {
    const { mesh, lab, claude, model } = suite
    const run = runSdk(lab, claude, sdk)
    run.prompt('hello')
    let seen: Session[] = []
    const session = await eventually(
      () => `it joins, but: ${JSON.stringify(seen)} ${run.output()}`,
      async () => {
        seen = await sessions()
        return seen.find(({ status }) => status === 'idle')
      },
    )
    const word = `sdk-${session.pid}`
    const { id } = await mesh.send(session.name, word)
    await eventually('the model reads it', () => model.saw(word)[0])
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    run.finish()
    expect(await run.ended).toBe(0)
    expect((await mesh.reaches(session.pid, 'gone')).reason).toBe('finished')
  })

  test('with settingSources: [] it reads no settings and does not join', async () => {
    const { lab, claude } = suite
    const before = (await sessions()).length
    const run = runSdk(lab, claude, sdk, { settingSources: [] })
    run.prompt('hello')
    await eventually('its turn is over', () => run.output().includes('"type":"result"'))
    expect(await sessions()).toHaveLength(before)
    run.finish()
    expect(await run.ended).toBe(0)
  })
})

testNothingLeft(suite)
