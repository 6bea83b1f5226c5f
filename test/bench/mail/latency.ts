/**
 * Measured inside one process, each sample in turn so that load meets both alike: a raw publish until its durable
 * consumer's callback, and a send from the handler of one sidecar until the waiting call of another has the message.
 * Prints one JSON object.
 */
import { createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { engineStatus } from '../../../src/engine/engine.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { meshHome } from '../../../src/host/home.ts'
import { Journal } from '../../../src/host/journal.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { connectEngine } from '../../../src/nats/connect.ts'
import { decodeEnvelope, encodeEnvelope } from '../../../src/wire/codec.ts'
import type { Envelope } from '../../../src/wire/envelope.schema.ts'
import { newId } from '../../../src/wire/names.ts'
import { sessionEnd } from '../../../src/wire/session-end.ts'
import { messageSubject } from '../../../src/wire/subjects.ts'
import { summarize } from '../lab/row.ts'
import { caller, type Inside, openInside } from '../session/inside.ts'

const WARM_UP = 100
/** Messages of people and agents come one by one. */
const PACE_MS = 8
const STREAM = 'bench-raw'
const TEXT = 'x'.repeat(200)

async function connectRaw() {
  const home = meshHome(process.env)
  const { url } = engineStatus(home)
  return connectEngine({ url: url!, user: engineUser(home), name: 'bench' }, () => {})
}

/** A file stream and a durable as the product's, on two connections. Publishes 500 bytes, about one sealed message. */
async function openRaw(): Promise<() => Promise<{ arrived: number; stored: number }>> {
  const [sending, receiving] = await Promise.all([connectRaw(), connectRaw()])
  const jsm = await jetstreamManager(receiving)
  await jsm.streams.delete(STREAM).catch(() => {})
  await jsm.streams.add({ name: STREAM, subjects: ['bench.raw'], max_consumers: 10 })
  await jsm.consumers.add(STREAM, { durable_name: 'bench', ack_policy: AckPolicy.Explicit })
  const consumer = await jetstream(receiving).consumers.get(STREAM, 'bench')
  let arrive = (_at: number) => {}
  await consumer.consume({
    max_messages: 100,
    callback: (message) => {
      arrive(performance.now())
      message.ack()
    },
  })
  const js = jetstream(sending)
  const payload = new Uint8Array(500).fill(120)
  return async () => {
    const arrived = new Promise<number>((resolve) => {
      arrive = resolve
    })
    const startedAt = performance.now()
    await js.publish('bench.raw', payload, { msgID: newId('m') })
    const stored = performance.now() - startedAt
    return { arrived: (await arrived) - startedAt, stored }
  }
}

async function sendOnce(from: Inside, to: Inside): Promise<{ arrived: number; stored: number }> {
  const waiting = to.answer('wait', { targets: [] }, caller())
  const startedAt = performance.now()
  const request = { id: newId('m'), to: to.sidecar.record.name, text: TEXT }
  const [sent, found] = await Promise.all([
    from.answer('send', request, caller()).then(() => performance.now()),
    waiting.then((result) => ({ result, at: performance.now() })),
  ])
  await to.answer('taken', { handover: found.result.handover! }, caller())
  return { arrived: found.at - startedAt, stored: sent - startedAt }
}

/** What the way consists of, one by one. */
async function timeParts(from: Inside, to: Inside, rounds: number) {
  const { store } = from.sidecar.link
  const { project } = from.sidecar.place
  const journal = Journal.open(join(from.sidecar.home.root, 'bench.jsonl')).journal
  const subject = messageSubject(project, { kind: 'session', name: 'receiver' }, { member: 'local', name: 'sender' })
  const publicKey = createPublicKey(from.sidecar.key)
  const samples = { nameLookup: [] as number[], seal: [] as number[], open: [] as number[], journal: [] as number[] }
  const time = async (name: keyof typeof samples, work: () => unknown) => {
    const startedAt = performance.now()
    await work()
    samples[name].push(performance.now() - startedAt)
  }
  for (let i = 0; i < rounds; i++) {
    const message = messageOf(project)
    const bytes = encodeEnvelope(message, from.sidecar.key)
    await time('nameLookup', () => store.names.get(to.sidecar.record.name))
    await sleep(PACE_MS)
    await time('seal', () => encodeEnvelope(message, from.sidecar.key))
    await time('open', () => decodeEnvelope(project, subject, bytes, () => publicKey))
    await time('journal', () => journal.append([{ t: 'in', envelope: message }]))
  }
  journal.close()
  return Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, summarize(values)]))
}

function messageOf(project: string): Omit<Envelope, 'sig'> {
  const from = { member: 'local', name: 'sender', epoch: 1 }
  const sentAt = new Date().toISOString()
  return {
    v: 1,
    kind: 'message',
    id: newId('m'),
    project,
    from,
    to: 'receiver',
    seq: 1,
    sentAt,
    hops: 0,
    body: { text: TEXT },
  }
}

async function main(): Promise<void> {
  const rounds = Number(process.argv[2])
  const [from, to] = [await openInside('sender'), await openInside('receiver', identifyProcess(process.ppid)!)]
  const publishRaw = await openRaw()
  const samples = { raw: [] as number[], rawStored: [] as number[], sent: [] as number[], sentStored: [] as number[] }
  for (let i = -WARM_UP; i < rounds; i++) {
    const raw = await publishRaw()
    await sleep(PACE_MS)
    const sent = await sendOnce(from, to)
    await sleep(PACE_MS)
    if (i < 0) continue
    samples.raw.push(raw.arrived)
    samples.rawStored.push(raw.stored)
    samples.sent.push(sent.arrived)
    samples.sentStored.push(sent.stored)
  }
  const all = Object.entries(samples).map(([name, values]) => [name, summarize(values)] as const)
  const parts = await timeParts(from, to, Math.min(rounds, 100))
  process.stdout.write(`${JSON.stringify({ ...Object.fromEntries(all), ...parts })}\n`)
  await Promise.all([from.sidecar.end(sessionEnd('ended')), to.sidecar.end(sessionEnd('ended'))])
  process.exit(0)
}

await main()
