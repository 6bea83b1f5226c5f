/** Looks at one message on its way to a real client: which requests have it, and what its trace says. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { type Interactive, kill, type StartOptions } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import type { Suite } from '../support/suite.ts'

/** Registers the end of the session that a test started. */
export function useTruth(suite: Suite) {
  let current: Interactive | undefined
  afterEach(async () => {
    if (current) kill(current.pid, 'SIGKILL')
    if (current) await suite.mesh.reaches(current.pid, 'gone')
    current = undefined
  })

  async function startIdle(options: StartOptions = {}): Promise<{ session: Interactive; name: string; pid: number }> {
    const session = await suite.terminal.start(options)
    current = session
    const { name } = await suite.mesh.reaches(session.pid, 'idle')
    return { session, name, pid: session.pid }
  }

  /** Requests in which the model was newly given `word`: in a hand-over, not as history. */
  const readings = (word: string): ModelRequest[] => {
    return suite.model.requests.filter(({ auxiliary, fresh }) => !auxiliary && fresh.includes(word))
  }
  const readBy = (word: string) => eventually(`the model reads ${word}`, () => readings(word)[0])
  const statesOf = async (id: string) => (await suite.mesh.trace(id)).map(({ state }) => state)
  const isMarked = (request: ModelRequest, word: string) =>
    new RegExp(`possible repeat\\]\\n${word}`).test(request.fresh)

  /** The last step of a message's way once it says so. */
  function last(id: string, state: string, evidence: RegExp) {
    let seen = ''
    return eventually(
      () => `${id} ends in ${state} (${evidence}), but: ${seen}`,
      async () => {
        const steps = await suite.mesh.trace(id)
        seen = steps.map((step) => `${step.state} (${step.evidence})`).join(', ')
        const step = steps.at(-1)
        return step?.state === state && evidence.test(step.evidence)
      },
    )
  }

  function heldTool(): { call: ReturnType<typeof bash>; release(): void } {
    const path = join(suite.lab.project, 'go')
    rmSync(path, { force: true })
    return { call: bash(`until [ -e go ]; do sleep 0.05; done; echo released`), release: () => writeFileSync(path, '') }
  }

  return { startIdle, readings, readBy, statesOf, isMarked, last, heldTool }
}
