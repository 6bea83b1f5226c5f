/**
 * Random histories against the real thing: every history is a list of commands (send, answer, read, read and not
 * confirm, confirm late, join, take a role, rename, stop, forget, look, kill a sidecar, kill the engine) that is
 * carried out on a real engine and real operators' sidecars over their sockets, and on a model that knows nothing of
 * them (test/support/fault/model.ts). After every reading, and at the end of a history for everybody, the two agree on
 * what is unread, in which order, from whom, and what is marked as a possible repeat; along the way on names, epochs,
 * who is gone, and on what is counted.
 *
 * One engine serves all histories, three operators those of a batch; an operator that was renamed, stopped or
 * forgotten makes way for fresh ones. The pure core has its own thousand histories in test/unit/daemon/mail/model-mailbox.test.ts.
 * fast-check prints seed and path of a failing history: MESH_FAULT_SEED and MESH_FAULT_PATH run it alone.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, test } from 'vitest'
import { command, PEERS } from '../support/fault/commands.ts'
import { History } from '../support/fault/history.ts'
import { chooseSeed, FaultHome, FULL } from '../support/fault/home.ts'
import { Operators } from '../support/fault/operators.ts'

const HISTORIES = FULL ? 1000 : 60
const COMMANDS = 10

let mesh: FaultHome

beforeAll(async () => {
  mesh = await FaultHome.make()
}, 60_000)

afterAll(async () => {
  await mesh?.close()
}, 60_000)

test(`the real thing agrees with its model over ${HISTORIES} histories`, {
  timeout: FULL ? 1_800_000 : 300_000,
}, async () => {
  const seed = chooseSeed('model')
  const operators = new Operators(mesh)
  const batch = new Batch(operators)
  let histories = 0
  const property = fc.asyncProperty(fc.array(command, { minLength: 4, maxLength: COMMANDS }), async (commands) => {
    const history = new History(operators, await batch.peers(), `${histories++}`)
    try {
      for (const one of commands) await history.run(one)
      await history.finish()
    } catch (error) {
      batch.spoil()
      throw error
    }
    if (history.spent) batch.spoil()
  })
  const startedAt = performance.now()
  try {
    const path = process.env.MESH_FAULT_PATH
    await fc.assert(property, { seed, numRuns: HISTORIES, endOnFailure: true, ...(path ? { path } : {}) })
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${String((error as Error).cause)}\n${mesh.logs(15)}`)
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  console.log(`model: ${histories} histories in ${seconds} s: ${operators.counted}`)
})

/** Three operators that live as long as nothing happened to their names. */
class Batch {
  readonly #operators: Operators
  #names: string[] = []
  #batches = 0

  constructor(operators: Operators) {
    this.#operators = operators
  }

  async peers(): Promise<{ name: string; epoch: number }[]> {
    if (this.#names.length === 0) await this.#make()
    return Promise.all(
      this.#names.map(async (name) => ({ name, epoch: (await this.#operators.ask(name, 'whoami', {})).epoch })),
    )
  }

  async #make(): Promise<void> {
    this.#batches++
    this.#names = Array.from({ length: PEERS }, (_, i) => `p${this.#batches}-${i}`)
    await Promise.all(this.#names.map((name) => mesh.json('whoami', '--as', name)))
  }

  spoil(): void {
    for (const name of mesh.sidecars().keys()) mesh.killSidecar(name)
    this.#names = []
  }
}
