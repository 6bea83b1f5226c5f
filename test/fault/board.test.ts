/**
 * The task board under concurrent sessions while the engine is killed: one winner per task whatever happens, fences that
 * grow by one per claim, and answers that one order of all calls explains.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Op, Request, Response } from '../../src/api/ops.schema.ts'
import { call } from '../../src/client/client.ts'
import { MeshError } from '../../src/errors.ts'
import { newOperation } from '../../src/wire/names.ts'
import { type Command, type ModelTask, newTask, play } from '../support/fault/board-model.ts'
import { chooseSeed, FaultHome, FULL, random } from '../support/fault/home.ts'
import { explain, type Call as Recorded, type Spec } from '../support/fault/linear.ts'

const ROUNDS = FULL ? 200 : 20
const CLAIMERS = 16
const HISTORIES = FULL ? 100 : 8
const CLIENTS = 6
const CALLS = 10
/** What a call may last until the engine answers, or the sidecar says that it does not. */
const CALL_MS = 20_000
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

// --- histories

/** Writes are not answered for so long that they are given up; what of them was stored shows later. */
const FROZEN_MS = 2500

async function freeze(): Promise<void> {
  const pid = mesh.enginePid()!
  process.kill(pid, 'SIGSTOP')
  await sleep(FROZEN_MS)
  process.kill(pid, 'SIGCONT')
}

type Input = { by: string; command: Command } | 'show'
type Output = { outcome: 'conflict'; holder: string | null } | ({ outcome: 'ok' } & Seen)
type Seen = Pick<ModelTask, 'state' | 'holder' | 'fence'>

/** One task, as the plain model of the board has it. */
const board: Spec<ModelTask, Input, Output> = {
  initial: newTask('a'),
  step(before, input, output) {
    const state = structuredClone(before)
    const outcome = input === 'show' ? 'ok' : play({ it: state }, 'it', input.by, input.command)
    if (output === null) return state
    if (output.outcome !== outcome) return null
    if (output.outcome === 'conflict') return output.holder === null || output.holder === before.holder ? state : null
    const isAsSeen = (['state', 'holder', 'fence'] as const).every((key) => output[key] === state[key])
    return isAsSeen ? state : null
  },
}

const commands: Command[] = [
  ...Array<Command>(4).fill({ do: 'claim' }),
  ...Array<Command>(3).fill({ do: 'release' }),
  { do: 'comment', text: 'x' },
  { do: 'done' },
  { do: 'fail' },
  { do: 'cancel' },
]

/** Makes one call, once. Null: the engine was away, and nothing was done. */
async function record(by: string, id: string, input: Input): Promise<Recorded<Input, Output> | null> {
  const socket = mesh.socketOf(by)
  const options = { timeoutMs: CALL_MS }
  const madeAt = performance.now()
  const told = (output: Output | null) => ({ input, output, madeAt, answeredAt: performance.now() })
  try {
    const { state, owner, fence } =
      input === 'show'
        ? await call(socket, 'task_show', { id }, options)
        : input.command.do === 'claim'
          ? await call(socket, 'task_claim', { op: newOperation(), id }, options)
          : await call(
              socket,
              'task_change',
              { op: newOperation(), id, ...input.command } as Request<'task_change'>,
              options,
            )
    return told({ outcome: 'ok', state: state as ModelTask['state'], holder: owner, fence })
  } catch (error) {
    const { code, message } = MeshError.from(error)
    if (code === 'conflict')
      return told({ outcome: 'conflict', holder: /is held by (\S+) since/.exec(message)?.[1] ?? null })
    if (code === 'timeout') return told(null)
    // A look changes nothing, whether or not it was answered; `mesh_down` says that nothing was done.
    if (input === 'show' || code === 'mesh_down') return null
    throw error
  }
}

test(`${HISTORIES} concurrent histories are linearizable per task, also while the engine is killed`, async () => {
  for (const name of NAMES) await mesh.json('whoami', '--as', name)
  const count = { calls: 0, unknown: 0, away: 0, kills: 0 }
  for (let round = 0; round < HISTORIES; round++) {
    const ids = await Promise.all(
      ['x', 'y'].map(async (title) => (await insist('a', 'task_add', { op: newOperation(), title })).id),
    )
    const histories = new Map(ids.map((id) => [id, [] as Recorded<Input, Output>[]]))
    const clients = Array.from({ length: CLIENTS }, async (_, i) => {
      const by = NAMES[i % NAMES.length]!
      for (let made = 0; made < CALLS; ) {
        const id = dice.pick(ids)
        const input: Input = dice.below(4) === 0 ? 'show' : { by, command: dice.pick(commands) }
        const recorded = await record(by, id, input)
        if (recorded) histories.get(id)!.push(recorded)
        else count.away++
        made += recorded ? 1 : 0
        await sleep(recorded ? dice.below(10) : 20)
      }
    })
    await sleep(dice.below(60))
    if (round % 8 === 3) await freeze()
    if (round % 2 === 0 || dice.below(2) === 0) count.kills += mesh.killEngine() ? 1 : 0
    await Promise.all(clients)
    for (const [id, history] of histories) {
      const madeAt = performance.now()
      const { state, owner, fence } = await insist('b', 'task_show', { id })
      const last = { outcome: 'ok', state: state as ModelTask['state'], holder: owner, fence } as const
      history.push({ input: 'show', output: last, madeAt, answeredAt: performance.now() })
      count.calls += history.length
      count.unknown += history.filter(({ output }) => output === null).length
      const shown = history.map((one) => JSON.stringify(one)).join('\n')
      expect(explain(history, board), `round ${round}, no order explains:\n${shown}`).not.toBeNull()
    }
  }
  console.log(`board: ${HISTORIES} histories linearizable: ${JSON.stringify(count)}`)
})
