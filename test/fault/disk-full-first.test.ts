/**
 * A full disk heals by itself whatever meets it first. The mesh home is a file system of its own that is filled up; one kind of
 * operation meets it, is refused within seconds, and works again within three seconds of space coming back, without anybody's
 * help. Nothing acknowledged is lost.
 *
 * Needs the right to mount a tmpfs; skipped, and said so, where that is missing.
 */
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FullDisk } from '../support/fault/full-disk.ts'
import { FaultHome, FULL, figures, type Ran, untilAsync } from '../support/fault/home.ts'

const ROUNDS = FULL ? 5 : 1
const SIZE_MB = 150
/** A command that is refused answers within this. */
const ANSWER_MS = 15_000
/** From space to the first success; the short run shares its machine with other tests. */
const HEAL_MS = FULL ? 3000 : 15_000
/** An operation is tried until the disk refuses it; small ones may still fit. */
const MOST_TRIES = 12

const disk = new FullDisk('disk-full-first', SIZE_MB)
let mesh: FaultHome
/** What was acknowledged, by the word that shows it again. */
const acknowledged = { sent: new Set<string>(), tasks: new Set<string>(), keys: new Set<string>() }
const read = new Set<string>()

beforeAll(async () => {
  if (!disk.isMounted) return
  mesh = await FaultHome.make({ root: disk.root })
  execFileSync('git', ['init', '-q', mesh.work])
  for (const name of ['a', 'b', 'c']) await mesh.json('whoami', '--as', name)
  await mesh.json('run', '--as', 'a', '--', 'true')
})

afterAll(async () => {
  disk.free()
  try {
    await mesh?.close()
  } finally {
    disk.close()
  }
}, 60_000)

/** Each does one thing with a word of its own; done when the exit code is 0. */
const operations: Record<string, (word: string) => Promise<Ran>> = {
  async messages(word) {
    const ran = await mesh.run('send', 'b', '--json', '--as', 'a', '--', word)
    if (ran.code === 0) acknowledged.sent.add(word)
    // Queued is no failure, but no sign of an engine that stores either.
    return ran.stdout.includes('"queued"') ? { ...ran, code: 1 } : ran
  },
  async tasks(word) {
    const ran = await mesh.run('task', 'add', '--as', 'a', word)
    if (ran.code === 0) acknowledged.tasks.add(word)
    return ran
  },
  async state(word) {
    const ran = await mesh.run('state', 'set', '--shared', 'plan', '--as', 'a', word, 'x'.repeat(20_000))
    if (ran.code === 0) acknowledged.keys.add(word)
    return ran
  },
  claims: (word) => mesh.run('claim', '--as', 'a', word),
  runs: (word) => mesh.run('run', '--as', 'a', '--name', word, '--', 'true'),
  async receipts() {
    const ran = await mesh.run('inbox', '--json', '--as', 'b')
    for (const { text } of ran.code === 0 ? (JSON.parse(ran.stdout) as { text: string }[]) : []) read.add(text)
    return ran
  },
  names: (word) => mesh.run('rename', '--as', 'c', word),
  handoff: () => mesh.run('handoff', '--as', 'a', 'b'),
}

/** The short run has those that hung, or never healed. */
const kinds = FULL ? Object.keys(operations) : ['tasks', 'state', 'claims']

test.runIf(disk.isMounted).each(kinds)(
  `a disk that is full ${ROUNDS} times when %s meet it first`,
  { timeout: FULL ? 600_000 : 120_000 },
  async (kind) => {
    const operate = operations[kind]!
    const healed: number[] = []
    const refusals: Ran[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const word = (n: number | string) => `${kind}-${round}-${n}`
      disk.fill(0)
      for (let n = 0; n < MOST_TRIES && refusals.length <= round; n++) {
        const ran = await operate(word(n))
        expect(ran.ms, ran.stderr).toBeLessThan(ANSWER_MS)
        if (ran.code !== 0) refusals.push(ran)
      }
      await sleep(round * 300)
      disk.free()
      const freedAt = performance.now()
      let last: Ran | null = null
      let tries = 0
      const works = async () => {
        last = await operate(word(`again-${tries++}`))
        return last.code === 0
      }
      await untilAsync(works, 60_000, 'working again').catch((error) => {
        throw new Error(`${error.message}: ${last?.stderr}\n${mesh.logs()}`)
      })
      healed.push(performance.now() - freedAt)
    }
    const said = new Set(
      refusals.map(({ code, stderr }) => `${code} ${stderr.trim().split('\n').at(-1)?.slice(0, 120)}`),
    )
    console.log(
      `${kind}: refused ${refusals.length} of ${ROUNDS} (${figures(refusals.map(({ ms }) => ms))}); healed ${figures(healed)}\n  ${[...said].join('\n  ')}`,
    )
    expect(Math.max(...healed)).toBeLessThan(HEAL_MS)
  },
)

test.runIf(disk.isMounted)('nothing that was acknowledged is lost', { timeout: 120_000 }, async () => {
  await untilAsync(
    async () => {
      await operations.receipts!('')
      return [...acknowledged.sent].every((word) => read.has(word))
    },
    30_000,
    'every message to be read',
  )
  const tasks = await mesh.run('task', 'list', 'all', '--json', '--as', 'a')
  for (const word of acknowledged.tasks) expect(tasks.stdout).toContain(word)
  const keys = await mesh.run('state', 'list', '--shared', 'plan', '--json', '--as', 'a')
  for (const word of acknowledged.keys) expect(keys.stdout).toContain(word)
})
