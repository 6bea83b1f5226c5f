/** A client without an inbox socket and CLAUDE_PID: every door but the socket, and nothing of ours left. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, olderVersion, runPrint, submit } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { meshBin } from './support/mesh.ts'
import { bash, type ModelRequest } from './support/mock-model.ts'
import { testNothingLeft, useSuite } from './support/suite.ts'

const suite = useSuite(olderVersion)
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
const times = (text: string, word: string) => text.split(word).length - 1

function heldTool(): { call: ReturnType<typeof bash>; release(): void } {
  const path = join(suite.lab.project, 'go')
  rmSync(path, { force: true })
  return { call: bash('until [ -e go ]; do sleep 0.05; done; echo released'), release: () => writeFileSync(path, '') }
}

describe.skipIf(suite.missing)(`Claude Code ${olderVersion}`, () => {
  let current: Interactive | undefined
  afterEach(async () => {
    if (!current) return
    kill(current.pid, 'SIGKILL')
    await suite.mesh.reaches(current.pid, 'gone')
    current = undefined
  })

  async function startIdle(): Promise<{ session: Interactive; name: string }> {
    const session = await suite.terminal.start()
    current = session
    const { name } = await suite.mesh.reaches(session.pid, 'idle')
    return { session, name }
  }

  test('idle, it is woken by the file that it watches, time and again', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    for (const word of [`wake-${session.pid}`, `again-${session.pid}`]) {
      const { id, at } = await mesh.send(name, word)
      const request = await readBy(word)
      console.log(`${olderVersion} woken ${request.at - at} ms after mesh send was started`)
      const { evidence } = await mesh.traced(id, 'surfaced')
      console.log(JSON.stringify(await mesh.trace(id)), request.fresh)
      await mesh.reaches(session.pid, 'idle')
      expect(times(model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text, word)).toBe(1)
    }
  })
})

testNothingLeft(suite)
