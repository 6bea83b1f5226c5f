/** Reads the mail of real operators, and compares all that it sees with the model. */
import { expect } from 'vitest'
import type { Message, Op, Request, Response } from '../../../src/api/ops.schema.ts'
import { untilAsync } from './home.ts'
import type { Model, ModelPeer } from './model.ts'
import { CEILING_MS, type Operators } from './operators.ts'

export interface Sent {
  from: string
  to: string
  id: string
  text: string
}

export class Reading {
  readonly model: Model
  /** In the order of sending. */
  readonly sent: Sent[] = []
  readonly #operators: Operators

  constructor(operators: Operators, model: Model) {
    this.#operators = operators
    this.model = model
  }

  async ask<O extends Op>(peer: ModelPeer, op: O, body: Request<O>): Promise<Response<O>> {
    this.model.revive(peer)
    return this.#operators.ask(peer.name, op, body)
  }

  async read(peer: ModelPeer, confirm: boolean, options: { limit?: number } = {}): Promise<number> {
    await this.agree(peer)
    const { messages, handover } = await this.ask(peer, 'inbox', options)
    await this.#taken(peer, messages, handover, confirm)
    return messages.length
  }

  async wait(peer: ModelPeer, confirm: boolean): Promise<void> {
    await this.agree(peer)
    if (!peer.unread.some(({ handover }) => handover === null)) return
    const { results, handover } = await this.ask(peer, 'wait', { targets: [], timeoutMs: CEILING_MS })
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
    if (confirm) await this.confirm(peer, handover)
  }

  async confirm(peer: ModelPeer, handover: string): Promise<void> {
    const { surfaced } = await this.ask(peer, 'taken', { handover })
    expect(surfaced).toBe(this.model.confirm(peer, handover))
  }

  /** A role's message becomes its taker's, once; a session that takes it over from a dead one shows it marked. */
  #takeRole(peer: ModelPeer, { id, repeat }: Message): void {
    const { mail, unmarked, marked } = this.model.roleMail.get(id)!
    ;(repeat ? marked : unmarked).push(peer.name)
    expect(unmarked.length, `role message ${mail.text} shown unmarked by ${unmarked}`).toBeLessThanOrEqual(1)
    if (!peer.unread.some((one) => one.id === id)) peer.unread.push({ ...mail, repeat })
  }

  /** A reader that had not confirmed does so now, or never can, because the sidecar was killed since. */
  async late(peer: ModelPeer, which: number): Promise<void> {
    const handover = [...peer.open.keys()][which]
    if (handover !== undefined && peer.state === 'alive') await this.confirm(peer, handover)
  }

  /** Waits until what is unread is what the model says. */
  async agree(peer: ModelPeer): Promise<Message[]> {
    const { messages } = await this.arrived(peer)
    this.#compare(peer, messages, 'all')
    return messages
  }

  /** Waits until everything that the model awaits is there. */
  async arrived(peer: ModelPeer): Promise<Response<'inbox'>> {
    const look = async () => {
      const seen = await this.ask(peer, 'inbox', { peek: true })
      const ids = new Set(seen.messages.map(({ id }) => id))
      return peer.unread.every(({ id, to }) => ids.has(id) || to.startsWith('role:')) ? seen : null
    }
    return untilAsync(look, CEILING_MS, `the mail of ${peer.name}`).catch((error) => {
      throw new Error(`${error.message}: awaited ${JSON.stringify(peer.unread)}`)
    })
  }

  /**
   * Reads everything of everybody, until nobody has anything unread and each role's message that somebody may take was
   * shown. Members of a role take its messages in their own time: one may come after its reader found nothing.
   */
  async everything(role: string): Promise<void> {
    for (const peer of this.model.peers) {
      for (const handover of [...peer.open.keys()]) await this.confirm(peer, handover)
    }
    const read = async () => {
      let count = 0
      for (const peer of this.model.peers) count += await this.read(peer, true)
      for (const peer of this.model.peers) count += (await this.ask(peer, 'whoami', {})).unread
      return count === 0 && this.model.peers.every(({ unread }) => unread.length === 0) && !this.#isRoleMailLeft(role)
    }
    await untilAsync(read, CEILING_MS, 'everything to be read')
  }

  /** No session takes what it sent itself. */
  #isRoleMailLeft(role: string): boolean {
    const members = this.model.peers.filter(({ roles }) => roles.has(role)).map(({ name }) => name)
    const senderOf = (id: string) => this.sent.find((sent) => sent.id === id)!.from
    return [...this.model.roleMail].some(([id, { unmarked, marked }]) => {
      const isShown = unmarked.length + marked.length > 0
      return !isShown && members.some((name) => name !== senderOf(id))
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
    const order = this.sent.map(({ id }) => id)
    const last = new Map<string, number>()
    for (const { id, from, to, text } of messages) {
      if (to.startsWith('role:')) continue
      const lane = `${from}>${to}`
      expect(order.indexOf(id), `${text} comes too late for ${peer.name}`).toBeGreaterThan(last.get(lane) ?? -1)
      last.set(lane, order.indexOf(id))
    }
  }
}
