/**
 * Inside one process: `ops N SOCKET` measures operations of the board against raw KV updates, each in turn so that load
 * meets both alike, beside another sidecar; `fill N` puts tasks on the board. Prints one JSON object.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstream } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { call } from '../../../src/client/client.ts'
import { engineStatus } from '../../../src/engine/engine.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { meshHome } from '../../../src/host/home.ts'
import { connectEngine } from '../../../src/nats/connect.ts'
import { newId, newOperation } from '../../../src/wire/names.ts'
import { sessionEnd } from '../../../src/wire/session-end.ts'
import type { Task } from '../../../src/wire/task.schema.ts'
import { summarize } from '../lab/row.ts'
import { caller, openInside } from '../session/inside.ts'

const WARM_UP = 50
const PACE_MS = 5
/** Of a task's record with a claim, about. */
const RECORD_BYTES = 700
const AT_ONCE = 200

/** One key of a bucket as the board's. Resolves to the time that one update takes. */
async function openRaw(): Promise<() => Promise<number>> {
  const home = meshHome(process.env)
  const nc = await connectEngine({ url: engineStatus(home).url!, user: engineUser(home), name: 'bench' }, () => {})
  const kv = await new Kvm(jetstream(nc)).create('bench-raw', { history: 64, max_bytes: -1 })
  const payload = new Uint8Array(RECORD_BYTES).fill(120)
  let revision = await kv.put('key', payload)
  return async () => {
    const startedAt = performance.now()
    revision = await kv.update('key', payload, revision)
    return performance.now() - startedAt
  }
}

async function measureOps(rounds: number, other: string) {
  const worker = await openInside('worker')
  const updateRaw = await openRaw()
  const samples: Record<string, number[]> = { raw: [], add: [], claim: [], comment: [], done: [], told: [] }
  const time = async <T>(name: string, isWarm: boolean, work: () => Promise<T>): Promise<T> => {
    const raw = await updateRaw()
    await sleep(PACE_MS)
    const startedAt = performance.now()
    const result = await work()
    if (isWarm) {
      samples.raw!.push(raw)
      samples[name]!.push(performance.now() - startedAt)
    }
    await sleep(PACE_MS)
    return result
  }
  for (let i = -WARM_UP; i < rounds; i++) {
    const op = () => newOperation()
    const task = () => ({ op: op(), title: `task ${i}` })
    const done = (id: string) => worker.answer('task_change', { op: op(), id, do: 'done', result: 'merged' }, caller())
    const own = await time('add', i >= 0, () => worker.answer('task_add', task(), caller()))
    await time('claim', i >= 0, () => worker.answer('task_claim', { op: op(), id: own.id }, caller()))
    const comment = { op: op(), id: own.id, do: 'comment' as const, text: 'half done' }
    await time('comment', i >= 0, () => worker.answer('task_change', comment, caller()))
    await time('done', i >= 0, () => done(own.id))
    const others = await call(other, 'task_add', task())
    await sleep(PACE_MS)
    // Whoever added it is told: a message is stored too.
    await time('told', i >= 0, () => done(others.id))
  }
  process.stdout.write(
    JSON.stringify(Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, summarize(values)]))),
  )
  await worker.sidecar.end(sessionEnd('ended'))
}

async function fill(count: number) {
  const { sidecar } = await openInside('filler')
  const { store } = sidecar.link
  const { member, name, epoch } = sidecar.record
  const by = { member, name, epoch }
  for (let at = 0; at < count; at += AT_ONCE) {
    const tasks = Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, i): Task => {
      const now = new Date().toISOString()
      const change = { op: newOperation(), at: now, by, what: 'added' }
      const lists = { after: [], blockedOn: [], labels: ['bench'], links: [], recent: [] }
      const what = { title: `task ${at + i}: port the parser to the new grammar`, priority: i % 10, ...lists }
      return {
        v: 1,
        kind: 'task',
        id: newId('t'),
        state: 'open',
        fence: 0,
        createdAt: now,
        createdBy: by,
        change,
        ...what,
      }
    })
    await Promise.all(tasks.map((task) => store.tasks.update(task.id, task, 0)))
  }
  process.stdout.write('{}')
  await sidecar.end(sessionEnd('ended'))
}

const [what, count, other] = process.argv.slice(2)
await (what === 'fill' ? fill(Number(count)) : measureOps(Number(count), other!))
process.exit(0)
