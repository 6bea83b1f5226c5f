/** Carries out the commands of one history on real operators and on the model, which must agree throughout. */
import { expect } from 'vitest'
import type { Op, Request, Response } from '../../../src/api/ops.schema.ts'
import { MeshError } from '../../../src/errors.ts'
import { newId } from '../../../src/wire/names.ts'
import type { Command } from './commands.ts'
import { untilAsync } from './home.ts'
import { Model, type ModelMail, type ModelPeer } from './model.ts'
import { CEILING_MS, type Operators } from './operators.ts'
import { Reading } from './reading.ts'

export class History {
  readonly model = new Model()
  readonly #operators: Operators
  readonly #reading: Reading
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

  constructor(operators: Operators, peers: { name: string; epoch: number }[], mark: string) {
    this.#operators = operators
    this.#reading = new Reading(operators, this.model)
    this.#mark = mark
    this.#topic = `t${mark}`
    this.#role = `w${mark}`
    this.#names = peers.map(({ name, epoch }) => this.model.add(name, epoch).name)
  }

  async run(command: Command): Promise<void> {
    const peer = this.model.find(this.#names[command.who]!)
    if (!peer) return
    this.#operators.count(command.do)
    switch (command.do) {
      case 'send':
        return this.#send(peer, command)
      case 'reply':
        return this.#reply(peer, command)
      case 'read':
        return void (await this.#reading.read(peer, command.confirm > 0, { limit: command.limit }))
      case 'wait':
        return this.#reading.wait(peer, command.confirm > 0)
      case 'peek':
        return void (await this.#reading.agree(peer))
      case 'late':
        return this.#reading.late(peer, command.which)
      case 'kill':
        return this.#kill(peer)
      case 'engine':
        return command.again === 0 ? this.#freeze(peer, command) : void this.#operators.mesh.killEngine()
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

  #ask<O extends Op>(peer: ModelPeer, op: O, body: Request<O>): Promise<Response<O>> {
    return this.#reading.ask(peer, op, body)
  }

  // --- sending

  async #send(peer: ModelPeer, { target, to, again }: Command): Promise<void> {
    const repeated = again === 0 ? this.#reading.sent.findLast(({ from }) => from === peer.name) : undefined
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
    await this.#reading.arrived(peer)
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
    const isNew = !this.#reading.sent.some(({ id }) => id === mail.id)
    const sent = await this.#ask(peer, op, body).catch((error) => {
      // Only a name that is no longer there is refused; while the engine is away nobody can know.
      if (MeshError.from(error).code === 'not_found' && !this.model.find(mail.to)) return null
      throw error
    })
    if (!sent) return
    expect(['queued', 'stored']).toContain(sent.state)
    this.#operators.count(sent.state)
    if (sent.state === 'queued') this.#queued.set(mail.id, peer.name)
    if (!isNew) return
    // Who was renamed gets it under the new name.
    const addressed = { ...mail, to: sent.to }
    this.#reading.sent.push(addressed)
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

  // --- names and faults

  async #kill(peer: ModelPeer): Promise<void> {
    if (peer.state === 'alive' && this.#operators.mesh.killSidecar(peer.name)) this.model.end(peer, 'dead')
  }

  /** The engine does not answer for a while: what is sent then is kept by its sender, and goes later. */
  async #freeze(peer: ModelPeer, command: Command): Promise<void> {
    await this.#ask(peer, 'ps', {})
    const pid = this.#operators.mesh.enginePid()
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
    await untilAsync(async () => !this.#operators.mesh.sidecars().has(peer.name), CEILING_MS, `${peer.name} to end`)
    this.model.end(peer, 'stopped')
    this.spent = true
  }

  async #switch(peer: ModelPeer, what: 'topic' | 'role'): Promise<void> {
    await this.#settled()
    await this.#reading.arrived(peer)
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
    await untilAsync(async () => !this.#operators.mesh.sidecars().has(name), CEILING_MS, `${previous} to end`)
    this.model.rename(peer, name)
    this.#names[who] = name
    for (const mail of this.#reading.sent) if (mail.from === previous) mail.from = name
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
    await this.#operators.mesh.json('whoami', '--as', other.name)
    expect(await this.#operators.ask(other.name, 'whoami', {})).toMatchObject({ epoch: 1, unread: 0, topics: [] })
    this.model.add(other.name, 1)
  }

  // --- the end

  /** Everybody reads everything, and leaves; then nothing is left, and every role's message was shown. */
  async finish(): Promise<void> {
    await this.#settled()
    await this.#reading.everything(this.#role)
    for (const peer of this.model.peers) {
      for (const topic of peer.topics) await this.#ask(peer, 'topic_leave', { topic })
      for (const role of peer.roles) await this.#ask(peer, 'role_rm', { role })
      const { epoch, name, unread } = await this.#ask(peer, 'whoami', {})
      expect({ epoch, name, unread }).toEqual({ epoch: peer.epoch, name: peer.name, unread: 0 })
    }
  }
}
