/** The steps of the demo: each does its thing with the mesh command and returns what happened. */
import { findEngine } from '../../../engine/binary.ts'
import { engineStatus } from '../../../engine/engine.ts'
import { failure, NAMES, type Shown, type Stage, since } from './stage.ts'

const FETCH_MS = 300_000
/** Delay that lets a waiting command really wait. */
const PAUSE_MS = 400

export interface Step {
  name: string
  run(stage: Stage): Promise<Shown>
}

export const steps: readonly Step[] = [
  { name: 'engine', run: startEngine },
  ...NAMES.map((name) => ({ name: 'join', run: (stage: Stage) => joinAs(stage, name) })),
  { name: 'ps', run: showSessions },
  { name: 'send', run: sendMessage },
  { name: 'wake', run: wakeWaiter },
  { name: 'ask', run: askAndReply },
  { name: 'heal', run: killEngine },
  { name: 'gone', run: killSession },
  { name: 'mail', run: readLater },
]

async function startEngine(stage: Stage): Promise<Shown> {
  if (!findEngine(stage.env, stage.home)) stage.out.note('there is no nats-server here yet: fetching one, about 7 MB')
  const startedAt = performance.now()
  await stage.mesh(null, ['up', '--json'], { ms: FETCH_MS, notes: true })
  const ms = since(startedAt)
  const info = engineStatus(stage.home)
  const binary = findEngine(stage.env, stage.home)
  const from = binary?.source === 'fetched' ? 'fetched just now' : (binary?.path ?? '?')
  const text = `nats-server ${info.version} serves ${info.url} (process ${info.pid}, ${from})`
  return { text, fields: { ...info, source: binary?.source, path: binary?.path, ms } }
}

async function joinAs(stage: Stage, name: string): Promise<Shown> {
  const startedAt = performance.now()
  const me = await stage.json<{ name: string; pid: number; connected: boolean }>(name, ['whoami'])
  if (me.name !== name || !me.connected) throw failure(`${name} did not join: ${JSON.stringify(me)}`)
  stage.pids.set(name, me.pid)
  const ms = since(startedAt)
  return { text: `${name} joined: sidecar process ${me.pid}, ${ms} ms`, fields: { session: name, pid: me.pid, ms } }
}

async function showSessions(stage: Stage): Promise<Shown> {
  const sessions = await stage.json<{ name: string; status: string }[]>('api', ['ps'])
  const missing = NAMES.filter((name) => !sessions.some((one) => one.name === name && one.status === 'idle'))
  if (missing.length > 0) throw failure(`mesh ps does not show ${missing.join(', ')} as idle`)
  return { text: '$ mesh ps', output: await stage.mesh('api', ['ps']), fields: { sessions } }
}

async function sendMessage(stage: Stage): Promise<Shown> {
  const text = 'the schema landed'
  const { id } = await stage.send('api', 'web', text, ['--wait', 'delivered', '--timeout', '10s'])
  const { steps: trace } = await stage.json<{ steps: { state: string; at: string }[] }>('api', ['trace', id])
  const at = (state: string) => Date.parse(trace.find((step) => step.state === state)?.at ?? '')
  const ms = at('delivered') - at('queued')
  if (Number.isNaN(ms)) throw failure(`mesh trace does not show ${id} as stored and delivered`)
  const [message] = await stage.json<Message[]>('web', ['inbox'])
  expect(message, text)
  const shown = `api → web "${text}": stored on disk and delivered in ${ms} ms; web read it, sender verified`
  return { text: shown, fields: { id, deliveredMs: ms, trace } }
}

async function wakeWaiter(stage: Stage): Promise<Shown> {
  const waiter = stage.start('web', ['wait', '--json'])
  const startedAt = performance.now()
  await Promise.race([stage.pause(PAUSE_MS), waiter.done])
  const waitedMs = since(startedAt)
  const text = 'main is green'
  await stage.send('api', 'web', text)
  const message = expect(JSON.parse(await waiter.done), text)
  const wokenMs = waiter.endedAt() - Date.parse(message.sentAt)
  const shown = `web slept in "mesh wait" for ${waitedMs} ms; api's "${text}" woke it ${wokenMs} ms after it was sent`
  return { text: shown, fields: { id: message.id, waitedMs, wokenMs } }
}

async function askAndReply(stage: Stage): Promise<Shown> {
  const waiter = stage.start('web', ['wait', '--json'])
  const startedAt = performance.now()
  const asker = stage.start('api', ['ask', 'web', '--timeout', '15s', '--json', '--', 'which port?'])
  const question = expect(JSON.parse(await waiter.done), 'which port?')
  await stage.json('web', ['reply', question.id], '8080')
  const { reply } = JSON.parse(await asker.done) as { reply: Message }
  if (reply.text !== '8080' || reply.from !== 'web') throw failure(`the answer was ${JSON.stringify(reply)}`)
  const ms = since(startedAt)
  return { text: `api asked web "which port?", web replied "8080": ${ms} ms in all`, fields: { reply: reply.text, ms } }
}

async function killEngine(stage: Stage): Promise<Shown> {
  const waiter = stage.start('web', ['wait', '--json'])
  await Promise.race([stage.pause(PAUSE_MS), waiter.done])
  const { pid } = engineStatus(stage.home)
  if (pid === null) throw failure('the engine does not run')
  const killedAt = performance.now()
  process.kill(pid, 'SIGKILL')
  const healed = stage.untilHealed(pid).then(() => since(killedAt))
  const text = 'sent while the engine was dead'
  const [healedMs, sent] = await Promise.all([healed, stage.send('api', 'web', text)])
  expect(JSON.parse(await waiter.done), text)
  const arrivedMs = since(killedAt)
  const now = engineStatus(stage.home).pid
  const kept = sent.state === 'queued' ? 'kept on disk' : sent.state
  return {
    text: `engine ${pid} killed by kill -9: a sidecar healed it in ${healedMs} ms (process ${now})`,
    output: `a message sent meanwhile was ${kept} and reached web ${arrivedMs} ms after the kill`,
    fields: { killed: pid, pid: now, healedMs, state: sent.state, arrivedMs },
  }
}

async function killSession(stage: Stage): Promise<Shown> {
  const watcher = stage.start('api', ['wait', 'docs', '--until', 'end', '--timeout', '15s', '--json'])
  await Promise.race([stage.pause(PAUSE_MS), watcher.done])
  const pid = stage.pids.get('docs')!
  const killedAt = performance.now()
  process.kill(pid, 'SIGKILL')
  const end = JSON.parse(await watcher.done) as { status: string; reason?: string }
  const ms = since(killedAt)
  if (end.status !== 'gone') throw failure(`docs is shown as ${end.status}`)
  const text = `session docs (process ${pid}) killed by kill -9: api knew after ${ms} ms that it is gone (${end.reason})`
  return { text, fields: { session: 'docs', pid, noticedMs: ms, reason: end.reason } }
}

async function readLater(stage: Stage): Promise<Shown> {
  const text = 'read this when you are back'
  const { id, note } = await stage.send('api', 'docs', text)
  const messages = await stage.json<Message[]>('docs', ['inbox'])
  expect(messages[0], text)
  const shown = `api wrote to the dead docs (${note ?? 'no note'}); the next session of that name read it`
  return { text: shown, fields: { id, note, read: messages.length } }
}

interface Message {
  id: string
  from: string
  text: string
  sentAt: string
  verified: boolean
}

function expect(message: Message | undefined, text: string): Message {
  if (message?.text === text && message.from === 'api' && message.verified) return message
  throw failure(`expected "${text}" from api, got ${JSON.stringify(message)}`)
}
