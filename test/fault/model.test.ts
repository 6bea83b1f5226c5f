/**
 * Random histories against the real thing: every history is a list of commands (send, answer, read, read and not
 * confirm, confirm late, join, take a role, rename, stop, forget, look, kill a sidecar, kill the engine) that is
 * carried out on a real engine and real operators' sidecars over their sockets, and on a model that knows nothing of
 * them (test/support/fault/model.ts). After every reading, and at the end of a history for everybody, the two agree on
 * what is unread, in which order, from whom, and what is marked as a possible repeat; along the way on names, epochs,
 * who is gone, and on what is counted.
 *
 * One engine serves all histories, three operators those of a batch; an operator that was renamed, stopped or
 * forgotten makes way for fresh ones. The pure core has its own thousand histories in test/unit/model-mail.test.ts.
 * fast-check prints seed and path of a failing history: MESH_FAULT_SEED and MESH_FAULT_PATH run it alone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Message, Op, Request, Response } from '../../src/api/ops.schema.ts'
import { call, Unreachable } from '../../src/client/client.ts'
import { MeshError } from '../../src/errors.ts'
import { newId } from '../../src/wire/names.ts'
import { chooseSeed, FaultHome, FULL, untilAsync } from '../support/fault/home.ts'
import { Model, type ModelMail, type ModelPeer } from '../support/fault/model.ts'

const HISTORIES = FULL ? 1000 : 60
const COMMANDS = 10
const PEERS = 3
/** A role's message that was on its way to a killed sidecar comes again after the engine's 30 s. */
const CEILING_MS = 60_000

/** How often each command comes, and the fields of it that count. */
const weights = {
  send: 18,
  reply: 4,
  read: 10,
  wait: 4,
  peek: 2,
  late: 4,
  kill: 4,
  engine: 2,
  topic: 2,
  role: 2,
  look: 2,
  stop: 1,
  rename: 1,
  forget: 1,
}
type Kind = keyof typeof weights

interface Command {
  do: Kind
  who: number
  to: number
  target: 'peer' | 'topic' | 'role' | 'all'
  /** Zero: the last message once more. */
  again: number
  /** Zero: the reader dies before it confirms. */
  confirm: number
  which: number
  limit: number
}

const kinds = Object.entries(weights).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind as Kind) }))
const command: fc.Arbitrary<Command> = fc.record({
  do: fc.oneof(...kinds),
  who: fc.nat(PEERS - 1),
  to: fc.nat(PEERS - 1),
  target: fc.constantFrom('peer', 'peer', 'peer', 'peer', 'topic', 'role', 'all'),
  again: fc.nat(4),
  confirm: fc.nat(3),
  which: fc.nat(3),
  limit: fc.integer({ min: 1, max: 4 }),
})

let mesh: FaultHome
const counts = new Map<string, number>()

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
  const batch = new Batch()
  let histories = 0
  const property = fc.asyncProperty(fc.array(command, { minLength: 4, maxLength: COMMANDS }), async (commands) => {
    const history = new History(await batch.peers(), `${histories++}`)
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
  const done = [...counts].sort().map(([what, n]) => `${what} ${n}`)
  console.log(
    `model: ${histories} histories in ${Math.round((performance.now() - startedAt) / 1000)} s: ${done.join(', ')}`,
  )
})

// --- the real thing

/** Calls an operator as the mesh command would: brings its sidecar back, and asks again while the engine is away. */
async function ask<O extends Op>(name: string, op: O, body: Request<O>): Promise<Response<O>> {
  const deadline = performance.now() + CEILING_MS
  for (;;) {
    try {
      return await call(mesh.socketOf(name), op, body)
    } catch (error) {
      const code = MeshError.from(error).code
      if (performance.now() > deadline || !['sidecar_down', 'mesh_down'].includes(code)) throw error
      count(code)
      if (error instanceof Unreachable) await mesh.run('whoami', '--as', name)
      else await sleep(20)
    }
  }
}

function count(what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1)
}

/** Three operators that live as long as nothing happened to their names. */
class Batch {
  #names: string[] = []
  #batches = 0

  async peers(): Promise<{ name: string; epoch: number }[]> {
    if (this.#names.length === 0) await this.#make()
    return Promise.all(this.#names.map(async (name) => ({ name, epoch: (await ask(name, 'whoami', {})).epoch })))
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

class History {
  readonly model = new Model()
  /** Names changed: the operators are not fit for another history. */
  spent = false
  readonly #mark: string
  readonly #topic: string
  readonly #role: string
  readonly #names: string[]
  #texts = 0
  #renames = 0
  /** Sent and perhaps still in an outbox. */
  readonly #queued = new Map<string, string>()
  readonly #sent: { from: string; to: string; id: string; text: string }[] = []

  constructor(peers: { name: string; epoch: number }[], mark: string) {
    this.#mark = mark
    this.#topic = `t${mark}`
    this.#role = `w${mark}`
    this.#names = peers.map(({ name, epoch }) => this.model.add(name, epoch).name)
  }

  async run(command: Command): Promise<void> {
    const peer = this.model.find(this.#names[command.who]!)
    if (!peer) return
    count(command.do)
    switch (command.do) {
      case 'send':
        return this.#send(peer, command)
      case 'reply':
        return this.#reply(peer, command)
      case 'read':
        return void (await this.#read(peer, command.confirm > 0, { limit: command.limit }))
      case 'wait':
        return this.#wait(peer, command.confirm > 0)
      case 'peek':
        return void (await this.#agree(peer))
      case 'late':
        return this.#late(peer, command)
      case 'kill':
        return this.#kill(peer)
      case 'engine':
        return command.again === 0 ? this.#freeze(peer, command) : void mesh.killEngine()
      case 'topic':
        return this.#switch(peer, 'topic')
      case 'role':
        return this.#switch(peer, 'role')
      case 'look':
        return this.#look(peer, command.to)
      case 'stop':
        return this.#stop(peer)
      case 'rename':
        return this.#rename(peer, command)
      case 'forget':
        return this.#forget(peer, command)
    }
  }

  async #ask<O extends Op>(peer: ModelPeer, op: O, body: Request<O>): Promise<Response<O>> {
    this.model.revive(peer)
    return ask(peer.name, op, body)
  }

  // --- sending

  async #send(peer: ModelPeer, { target, to, again }: Command): Promise<void> {
    const repeated = again === 0 ? this.#sent.findLast(({ from }) => from === peer.name) : undefined
    const recipient = {
      peer: this.#names[to]!,
      topic: `topic:${this.#topic}`,
      role: `role:${this.#role}`,
      all: '@all',
    }[target]!
    const mail = repeated ?? { from: peer.name, to: recipient, id: newId('m'), text: `${this.#mark}.${this.#texts++}` }
    await this.#post(peer, 'send', { id: mail.id, to: mail.to, text: mail.text }, { ...mail, replyTo: null })
  }

  async #reply(peer: ModelPeer, { which }: Command): Promise<void> {
    await this.#arrived(peer)
    const original = [...peer.unread, ...peer.read][which]
    if (!original) return
    const mail = { from: peer.name, to: original.from, id: newId('m'), text: `${this.#mark}.${this.#texts++}` }
    const body = { id: mail.id, replyTo: original.id, text: mail.text }
    await this.#post(peer, 'reply', body, { ...mail, replyTo: original.id })
  }

  /** Sends; the same message again changes nothing. */
  async #post<O extends 'send' | 'reply'>(
    peer: ModelPeer,
    op: O,
    body: Request<O>,
    mail: Omit<ModelMail, 'repeat' | 'handover'>,
  ): Promise<void> {
    const isNew = !this.#sent.some(({ id }) => id === mail.id)
    const sent = await this.#ask(peer, op, body).catch((error) => {
      // Only a name that is no longer there is refused; while the engine is away nobody can know.
      if (MeshError.from(error).code === 'not_found' && !this.model.find(mail.to)) return null
      throw error
    })
    if (!sent) return
    expect(['queued', 'stored']).toContain(sent.state)
    count(sent.state)
    if (sent.state === 'queued') this.#queued.set(mail.id, peer.name)
    if (!isNew) return
    // Who was renamed gets it under the new name.
    const addressed = { ...mail, to: sent.to }
    this.#sent.push(addressed)
    this.model.send(addressed)
  }

  /** What hangs on who has which name when must not race with what is still on its way. */
  async #settled(): Promise<void> {
    for (const [id, from] of this.#queued) {
      const peer = this.model.find(from)
      if (peer) await untilAsync(async () => this.#isStored(peer, id), CEILING_MS, `${id} of ${from} to be stored`)
      this.#queued.delete(id)
    }
  }

  async #isStored(peer: ModelPeer, id: string): Promise<boolean> {
    const { steps } = await this.#ask(peer, 'trace', { id })
    return steps.some(({ state }) => state === 'stored')
  }

  // --- reading

  async #read(peer: ModelPeer, confirm: boolean, options: { limit?: number } = {}): Promise<number> {
    await this.#agree(peer)
    const { messages, handover } = await this.#ask(peer, 'inbox', options)
    await this.#taken(peer, messages, handover, confirm)
    return messages.length
  }

  async #wait(peer: ModelPeer, confirm: boolean): Promise<void> {
    await this.#agree(peer)
    if (!peer.unread.some(({ handover }) => handover === null)) return
    const { results, handover } = await this.#ask(peer, 'wait', { targets: [], timeoutMs: CEILING_MS })
    expect(results).toHaveLength(1)
    await this.#taken(peer, results as Message[], handover, confirm)
  }

  /** Messages were shown: they are those of the model, and it notes what became of them. */
  async #taken(peer: ModelPeer, messages: Message[], handover: string | undefined, confirm: boolean): Promise<void> {
    this.#compare(peer, messages, 'some')
    if (handover === undefined) return
    for (const message of messages) if (message.to.startsWith('role:')) this.#takeRole(peer, message)
    const ids = messages.map(({ id }) => id)
    this.model.hand(peer, handover, ids)
    if (confirm) await this.#confirm(peer, handover)
  }

  async #confirm(peer: ModelPeer, handover: string): Promise<void> {
    const { surfaced } = await this.#ask(peer, 'taken', { handover })
    expect(surfaced).toBe(this.model.confirm(peer, handover))
  }

  /** A role's message becomes its taker's, once; who takes it over from a dead one shows it marked. */
  #takeRole(peer: ModelPeer, { id, repeat }: Message): void {
    const { mail, unmarked, marked } = this.model.roleMail.get(id)!
    ;(repeat ? marked : unmarked).push(peer.name)
    expect(unmarked.length, `role message ${mail.text} shown unmarked by ${unmarked}`).toBeLessThanOrEqual(1)
    if (!peer.unread.some((one) => one.id === id)) peer.unread.push({ ...mail, repeat })
  }

  /** A reader that had not confirmed does so now, or never can, because the sidecar was killed since. */
  async #late(peer: ModelPeer, { which }: Command): Promise<void> {
    const handover = [...peer.open.keys()][which]
    if (handover !== undefined && peer.state === 'alive') await this.#confirm(peer, handover)
  }

  /** Waits until what is unread is what the model says. */
  async #agree(peer: ModelPeer): Promise<Message[]> {
    const { messages } = await this.#arrived(peer)
    this.#compare(peer, messages, 'all')
    return messages
  }

  /** Waits until everything that the model awaits is there. */
  async #arrived(peer: ModelPeer): Promise<Response<'inbox'>> {
    const look = async () => {
      const seen = await this.#ask(peer, 'inbox', { peek: true })
      const ids = new Set(seen.messages.map(({ id }) => id))
      return peer.unread.every(({ id, to }) => ids.has(id) || to.startsWith('role:')) ? seen : null
    }
    return untilAsync(look, CEILING_MS, `the mail of ${peer.name}`).catch((error) => {
      throw new Error(`${error.message}: awaited ${JSON.stringify(peer.unread)}`)
    })
  }

  /** `all`: a look at everything unread, hand-overs included. `some`: what a reader was given. */
  #compare(peer: ModelPeer, messages: readonly Message[], extent: 'all' | 'some'): void {
    const known = new Map(peer.unread.map((mail) => [mail.id, mail]))
    for (const message of messages) {
      const role = this.model.roleMail.get(message.id)
      const mail = known.get(message.id) ?? role?.mail
      expect(mail, `${peer.name} has ${JSON.stringify(message)}, which nobody sent it`).toBeDefined()
      const { id, text, from, to, replyTo } = mail!
      expect(message).toMatchObject({ id, text, from, to, replyTo, verified: true })
      // What a reader has may be given back after a while; a role's message may have had another taker.
      const mustRepeat = mail!.repeat || (extent === 'some' && mail!.handover !== null)
      const mayRepeat = mustRepeat || mail!.handover !== null || role !== undefined
      expect(message.repeat || !mustRepeat, `${text} is not marked for ${peer.name}`).toBe(true)
      expect(!message.repeat || mayRepeat, `${text} is marked for ${peer.name}`).toBe(true)
    }
    this.#compareOrder(peer, messages)
  }

  /** Per sender and recipient, in the order of sending. */
  #compareOrder(peer: ModelPeer, messages: readonly Message[]): void {
    const order = this.#sent.map(({ id }) => id)
    const last = new Map<string, number>()
    for (const { id, from, to, text } of messages) {
      if (to.startsWith('role:')) continue
      const lane = `${from}>${to}`
      expect(order.indexOf(id), `${text} comes too late for ${peer.name}`).toBeGreaterThan(last.get(lane) ?? -1)
      last.set(lane, order.indexOf(id))
    }
  }

  // --- names and faults

  async #kill(peer: ModelPeer): Promise<void> {
    if (peer.state === 'alive' && mesh.killSidecar(peer.name)) this.model.end(peer, 'dead')
  }

  /** The engine does not answer for a while: what is sent then is kept by its sender, and goes later. */
  async #freeze(peer: ModelPeer, command: Command): Promise<void> {
    await this.#ask(peer, 'ps', {})
    const pid = mesh.enginePid()
    if (pid === null) return
    const before = this.#queued.size
    process.kill(pid, 'SIGSTOP')
    try {
      await this.#send(peer, { ...command, again: 1 })
      expect(this.#queued.size).toBe(before + 1)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  }

  async #stop(peer: ModelPeer): Promise<void> {
    if (peer.state !== 'alive') return
    await this.#settled()
    await this.#ask(peer, 'stop', {})
    await untilAsync(async () => !mesh.sidecars().has(peer.name), CEILING_MS, `${peer.name} to end`)
    this.model.end(peer, 'stopped')
    this.spent = true
  }

  async #switch(peer: ModelPeer, what: 'topic' | 'role'): Promise<void> {
    await this.#settled()
    await this.#arrived(peer)
    const [mine, name] = what === 'topic' ? [peer.topics, this.#topic] : [peer.roles, this.#role]
    const isIn = mine.has(name)
    if (what === 'topic') await this.#ask(peer, isIn ? 'topic_leave' : 'topic_join', { topic: name })
    else await this.#ask(peer, isIn ? 'role_rm' : 'role_add', { role: name })
    if (isIn) mine.delete(name)
    else mine.add(name)
    const { topics, roles, epoch } = await this.#ask(peer, 'whoami', {})
    expect({ topics, roles: roles.filter((role) => role !== 'operator'), epoch }).toEqual({
      topics: [...peer.topics],
      roles: [...peer.roles],
      epoch: peer.epoch,
    })
  }

  /** What one sees of another: only who ended, or was seen to die, is gone. */
  async #look(peer: ModelPeer, to: number): Promise<void> {
    const other = this.model.find(this.#names[to]!)
    if (!other || other === peer) return
    const expected = other.state === 'alive' ? /^(starting|idle)$/ : /^gone$/
    const look = async () => {
      const { status, reason, epoch } = await this.#ask(peer, 'alive', { name: other.name })
      if (other.state === 'alive') expect({ name: other.name, status, reason }).not.toMatchObject({ status: 'gone' })
      return expected.test(status) && epoch === other.epoch ? { reason } : null
    }
    const seen = await untilAsync(look, CEILING_MS, `${other.name} to be seen as ${other.state}`)
    if (other.state === 'dead') expect(seen.reason).toBe('killed')
  }

  async #rename(peer: ModelPeer, { who }: Command): Promise<void> {
    await this.#settled()
    const [previous, name] = [peer.name, `n${this.#mark}-${this.#renames++}`]
    this.spent = true
    // While the engine is away it is refused, and nothing has changed.
    const renamed = await this.#ask(peer, 'rename', { name })
    expect(renamed).toEqual({ name, previous })
    await untilAsync(async () => !mesh.sidecars().has(name), CEILING_MS, `${previous} to end`)
    this.model.rename(peer, name)
    this.#names[who] = name
    for (const mail of this.#sent) if (mail.from === previous) mail.from = name
  }

  /** Only who is gone can be forgotten. Whoever comes back under the name starts anew. */
  async #forget(peer: ModelPeer, { to }: Command): Promise<void> {
    const other = this.model.find(this.#names[to]!)
    if (!other || other === peer) return
    await this.#settled()
    if (other.state === 'alive') {
      const refused = await this.#ask(peer, 'forget', { name: other.name }).catch((error) => MeshError.from(error).code)
      expect(refused).toBe('conflict')
      return
    }
    await this.#look(peer, to)
    const { unread } = await this.#ask(peer, 'forget', { name: other.name })
    expect(unread).toBe(other.unread.filter((mail) => mail.to === other.name).length)
    this.spent = true
    this.model.forget(other)
    await mesh.json('whoami', '--as', other.name)
    expect(await ask(other.name, 'whoami', {})).toMatchObject({ epoch: 1, unread: 0, topics: [] })
    this.model.add(other.name, 1)
  }

  // --- the end

  /** Everybody reads everything; then nothing is left, and every role's message was shown. */
  async finish(): Promise<void> {
    await this.#settled()
    for (const peer of this.model.peers) {
      for (const handover of [...peer.open.keys()]) await this.#confirm(peer, handover)
    }
    const isOpen = () =>
      [...this.model.roleMail.values()].some(({ unmarked, marked }) => unmarked.length + marked.length === 0)
    // Of two at least one did not send it.
    const someoneTakes = this.model.peers.filter(({ roles }) => roles.has(this.#role)).length > 1
    const read = async () => {
      let count = 0
      for (const peer of this.model.peers) count += await this.#read(peer, true)
      const isOver = count === 0 && this.model.peers.every(({ unread }) => unread.length === 0)
      return isOver && !(someoneTakes && isOpen())
    }
    await untilAsync(read, CEILING_MS, 'everything to be read')
    for (const peer of this.model.peers) {
      const { epoch, name, unread } = await this.#ask(peer, 'whoami', {})
      expect({ epoch, name, unread }).toEqual({ epoch: peer.epoch, name: peer.name, unread: 0 })
      for (const topic of peer.topics) await this.#ask(peer, 'topic_leave', { topic })
      for (const role of peer.roles) await this.#ask(peer, 'role_rm', { role })
    }
  }
}
