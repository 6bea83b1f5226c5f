/**
 * A full disk (RELIABILITY.md §4 row 6): the mesh home is a file system of 96 MB of its own, which is filled up and
 * freed again. While it is full, `mesh send` answers within 3 s: `store_full` and exit 5, or `queued` when the message
 * truly is on disk. Nothing acknowledged is lost, no sidecar dies, and once there is space again messages are stored
 * without anybody's help.
 *
 * Needs the right to mount a tmpfs; skipped, and said so, where that is missing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Message } from '../../src/api/ops.schema.ts'
import { FullDisk } from '../support/fault/full-disk.ts'
import { chooseSeed, FaultHome, FULL, figures, type Ran, random, untilAsync } from '../support/fault/home.ts'

const ROUNDS = FULL ? 20 : 2
const SIZE_MB = 96
const ANSWER_MS = 3000
const RECOVER_MS = 60_000
/** Sends per round: until one is not stored, and some more. */
const MOST_TRIES = 30
const TRIES_AFTER = 4

const dice = random(chooseSeed('disk-full'))
const disk = new FullDisk('disk-full', SIZE_MB)

let mesh: FaultHome

beforeAll(async () => {
  if (!disk.isMounted) return
  mesh = await FaultHome.make({ root: disk.root })
  await mesh.json('whoami', '--as', 'a')
  await mesh.json('whoami', '--as', 'b')
})

afterAll(async () => {
  disk.free()
  try {
    await mesh?.close()
  } finally {
    disk.close()
  }
}, 60_000)

test.runIf(disk.isMounted)(`a disk that is full ${ROUNDS} times`, { timeout: FULL ? 1_200_000 : 180_000 }, async () => {
  const acknowledged = new Set<string>()
  const shown = new Map<string, number>()
  const answers: Ran[] = []
  const recoveries: number[] = []
  const sidecars = () => [...mesh.sidecars().values()].map(({ pid }) => pid).sort()
  const before = sidecars()
  for (let round = 0; round < ROUNDS; round++) {
    disk.fill(dice.below(3) * 1024 * 1024)
    const large = dice.below(2) === 0
    for (let i = 0, after = 0; i < MOST_TRIES && after < TRIES_AFTER; i++) {
      const answer = await send(`${round}.${i}`, acknowledged, large ? 100_000 : 100)
      answers.push(answer)
      if (after > 0 || !answer.stdout.includes('"stored"')) after++
    }
    disk.free()
    const freedAt = performance.now()
    await recover(`${round}.again`, acknowledged)
    recoveries.push(performance.now() - freedAt)
    await readAll(acknowledged, shown)
  }
  const count = (pattern: RegExp) => answers.filter(({ stdout, stderr }) => pattern.test(stdout + stderr)).length
  console.log(
    [
      `disk-full: ${ROUNDS} rounds, ${answers.length} sends into the full disk: ${figures(answers.map(({ ms }) => ms))}`,
      `  store_full ${count(/store_full/)}, queued ${count(/"queued"/)}, stored ${count(/"stored"/)}`,
      `  space freed → stored again: ${figures(recoveries)}`,
      `  acknowledged ${acknowledged.size}, lost ${[...acknowledged].filter((id) => !shown.has(id)).length}`,
    ].join('\n'),
  )
  expect(sidecars()).toEqual(before)
})

// --- traffic

/** One `mesh send`: it answers in time, and honestly. */
async function send(words: string, acknowledged: Set<string>, size: number): Promise<Ran> {
  const ran = await mesh.run('send', 'b', '--json', '--as', 'a', '--', `${words} ${'x'.repeat(size)}`)
  expect(ran.ms, ran.stderr).toBeLessThan(ANSWER_MS)
  if (ran.code === 0) {
    const { id, state } = JSON.parse(ran.stdout) as { id: string; state: string }
    expect(['queued', 'stored']).toContain(state)
    acknowledged.add(id)
  } else {
    expect({ code: ran.code, error: ran.stderr }).toMatchObject({
      code: 5,
      error: expect.stringContaining('store_full'),
    })
  }
  return ran
}

/** Sends until a message is stored. */
async function recover(words: string, acknowledged: Set<string>): Promise<void> {
  const attempt = async () => {
    const { code, stdout } = await mesh.run('send', 'b', '--json', '--as', 'a', '--', words)
    if (code !== 0) return false
    const { id, state } = JSON.parse(stdout) as { id: string; state: string }
    acknowledged.add(id)
    return state === 'stored'
  }
  await untilAsync(attempt, RECOVER_MS, 'storing again').catch((error) => {
    throw new Error(`${error.message}\n${mesh.logs()}`)
  })
}

/** Reads until everything acknowledged was shown, and nothing twice unmarked. */
async function readAll(acknowledged: ReadonlySet<string>, shown: Map<string, number>): Promise<void> {
  const missing = () => [...acknowledged].filter((id) => !shown.has(id))
  const read = async () => {
    for (const { id, repeat } of await mesh.json<Message[]>('inbox', '--as', 'b')) {
      expect(shown.has(id) && !repeat).toBe(false)
      shown.set(id, (shown.get(id) ?? 0) + 1)
    }
    if (missing().length === 0) return true
    await sleep(100)
    return false
  }
  await untilAsync(read, RECOVER_MS, 'everything acknowledged to be shown').catch((error) => {
    throw new Error(`${error.message}: ${missing().join(' ')}\n${mesh.logs()}`)
  })
}
