/**
 * The task board under racing claimers while the engine is killed: one winner per task whatever happens, fences that
 * grow by one per claim, and a history in which every claim found the task free.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Op, Request, Response } from '../../src/api/ops.schema.ts'
import { call } from '../../src/client/client.ts'
import { MeshError } from '../../src/errors.ts'
import { newOperation } from '../../src/wire/names.ts'
import { chooseSeed, FaultHome, FULL, random } from '../support/fault-home.ts'

const ROUNDS = FULL ? 200 : 20
const CLAIMERS = 16
const NAMES = ['a', 'b', 'c', 'd'] as const
/** How long one operation may be tried while the engine comes back. */
const PATIENCE_MS = 30_000

const dice = random(chooseSeed('board'))
let mesh: FaultHome

beforeEach(async () => {
  mesh = await FaultHome.make()
})

afterEach(() => mesh.close())

type Asked = { won: Response<'task_claim'> } | { refused: string }

/** The same operation again until the engine has answered it: a change whose answer was lost is not made twice. */
async function insist<O extends Op>(name: string, op: O, request: Request<O>): Promise<Response<O>> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await call(mesh.socketOf(name), op, request)
    } catch (error) {
      const { code } = MeshError.from(error)
      const mayHelp = ['mesh_down', 'timeout', 'sidecar_down', 'store_full'].includes(code)
      if (!mayHelp || performance.now() > deadline) throw error
      await sleep(20)
    }
  }
}

async function claim(name: string, id: string): Promise<Asked> {
  try {
    return { won: await insist(name, 'task_claim', { op: newOperation(), id }) }
  } catch (error) {
    const { code, message } = MeshError.from(error)
    if (code !== 'conflict') throw error
    return { refused: message }
  }
}

test(`${CLAIMERS} racing claimers have exactly one winner, also while the engine is killed`, async () => {
  for (const name of NAMES) await mesh.json('whoami', '--as', name)
  let kills = 0
  for (let round = 0; round < ROUNDS; round++) {
    const { id } = await insist('a', 'task_add', { op: newOperation(), title: `round ${round}` })
    const racers = Array.from({ length: CLAIMERS }, (_, i) => NAMES[i % NAMES.length]!)
    const races = racers.map(async (name) => ({ name, asked: await claim(name, id) }))
    if (dice.below(3) === 0) {
      await sleep(dice.below(20))
      if (mesh.killEngine()) kills++
    }
    const results = await Promise.all(races)
    const winners = new Set(results.flatMap(({ asked, name }) => ('won' in asked ? [name] : [])))
    expect([...winners], `round ${round}`).toHaveLength(1)
    const [winner] = winners
    for (const { asked } of results) if ('refused' in asked) expect(asked.refused).toContain(`held by ${winner}`)
    const shown = await insist('b', 'task_show', { id })
    expect(shown).toMatchObject({ owner: winner, state: 'claimed' })
    const claims = shown.history.filter(({ what }) => what === 'claimed')
    // A holder that claims again holds it again: each claim is one fence more, and all are the winner's.
    expect(new Set(claims.map(({ by }) => by))).toEqual(winners)
    expect(shown.fence).toBe(claims.length)
    await insist(winner!, 'task_change', { op: newOperation(), id, do: 'done' })
  }
  console.log(`board: ${ROUNDS} rounds of ${CLAIMERS}, engine killed ${kills} times: one winner each`)
})
