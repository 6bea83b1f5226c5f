/**
 * Another local user takes the engine's port while the engine restarts, and relays whoever comes: he must not hear one
 * byte. Counted: how often he got the port, and how many connections came to him.
 */
import { expect, test } from 'vitest'
import { engineStatus } from '../../src/engine/engine.ts'
import { FaultHome, FULL, until, untilAsync } from '../support/fault/home.ts'
import { Foe, noForeignUser } from '../support/lab/foe.ts'

const ROUNDS = FULL ? 200 : 2
const NAMES = ['a', 'b', 'c', 'd']
const WAIT_MS = 30_000

function portOf(mesh: FaultHome): number {
  return Number(new URL(engineStatus(mesh.home).url!).port)
}

/** Ends the engine as a service manager does, until another one runs. */
async function restart(mesh: FaultHome): Promise<void> {
  const pid = mesh.enginePid()!
  process.kill(pid, 'SIGTERM')
  await until(() => ![null, pid].includes(mesh.enginePid()), WAIT_MS, 'another engine')
}

async function send(mesh: FaultHome, from: string, to: string): Promise<void> {
  const isStored = async () => (await mesh.json('send', to, '--as', from, '--', 'a secret')).state === 'stored'
  await untilAsync(isStored, WAIT_MS, `a message of ${from} is stored`)
}

test.skipIf(noForeignUser)(
  'whoever takes the port of an engine that restarts learns nothing',
  {
    timeout: FULL ? 3_600_000 : 120_000,
  },
  async () => {
    const mesh = await FaultHome.make()
    const counts = { captured: 0, victim: 0, relayed: 0 }
    const heard: string[] = []
    try {
      for (const name of NAMES) await mesh.json('whoami', '--as', name)
      for (let round = 0; round < ROUNDS; round++) {
        const port = portOf(mesh)
        const foe = await Foe.start(port, port)
        await until(() => foe.has('ready'), WAIT_MS, 'the other user waits')
        await restart(mesh)
        await Promise.all(NAMES.map((name, i) => send(mesh, name, NAMES[(i + 1) % NAMES.length]!)))
        await foe.end()
        for (const word of ['captured', 'victim', 'relayed'] as const) counts[word] += foe.count(word)
        heard.push(...foe.heard)
      }
      console.log(`${ROUNDS} restarts: port captured ${counts.captured} times, ${counts.victim} connections`)
      expect(heard).toEqual([])
      if (FULL) expect(counts.victim).toBeGreaterThan(0)
    } finally {
      await mesh.close()
    }
  },
)
