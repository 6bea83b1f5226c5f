/**
 * Takes messages of roles. Pulls them only while the session is free, takes one by creating its takers record, and
 * retakes it by compare-and-set from a taker that is gone. Guarantees one taker, but not one effect. A session takes
 * none of its own messages.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isOfPeople, isOfRole, PEOPLE } from '../../core/mail/addresses.ts'
import { isShell } from '../../core/names/kinds.ts'
import type { Entry } from '../../nats/bucket.ts'
import type { Delivery, RoleVerdict } from '../../nats/mail.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Taker } from '../../wire/envelope.schema.ts'
import { holderOf } from '../names/registry.ts'
import type { Session } from '../session.ts'
import type { Incoming } from './incoming.ts'
import type { Mailbox } from './mailbox.ts'

const FREE_POLL_MS = 100
const TROUBLE_MS = 1000
/** Delay in which other sessions may take what this session itself sent. */
const LEAVE_MS = 500

/** A session that takes messages of its roles. */
interface RolesSession extends Session {
  readonly mailbox: Mailbox
  readonly incoming: Incoming
  /** True when the model would read a message at once. */
  readonly isFree: boolean
}

export class Roles {
  readonly #session: RolesSession
  readonly #running = new Map<string, AbortController>()
  #store: ProjectStore | null = null
  #unwatch: (() => void) | null = null
  #unfollow: (() => void) | null = null

  constructor(session: RolesSession) {
    this.#session = session
  }

  /** Serves exactly these roles from now on. */
  async attach(store: ProjectStore, roles: readonly string[]): Promise<void> {
    this.detach()
    this.#store = store
    if (roles.length === 0) return
    if (this.#isPerson && roles.includes(PEOPLE)) this.#unfollow = store.followReplies((id) => this.#answered(id))
    this.#unwatch = await store.names.watch('>', (record) => {
      if (record?.state === 'gone') void this.#retake(roles)
    })
    for (const role of roles) {
      const stop = new AbortController()
      this.#running.set(role, stop)
      void this.#serve(store, role, stop.signal)
    }
    void this.#retake(roles)
  }

  detach(): void {
    this.#unwatch?.()
    this.#unfollow?.()
    this.#unwatch = null
    this.#unfollow = null
    for (const stop of this.#running.values()) stop.abort()
    this.#running.clear()
    this.#store = null
  }

  /** True for a person's shell, which has a copy of all mail to the people. */
  get #isPerson(): boolean {
    return isShell(this.#session.harness.kind)
  }

  /** Settles the unread copy of a message to the people that one of them has answered. */
  #answered(id: string): void {
    const { mailbox } = this.#session
    const entry = mailbox.inbox.get(id)
    if (!entry || entry.handover !== null || !isOfPeople(entry.envelope.to)) return
    mailbox.surface([id], Date.now())
    void this.settle(PEOPLE, id).catch(() => {})
    this.#session.poke()
  }

  /** Records that the taken message was read, so that no session retakes it. */
  async settle(role: string, id: string): Promise<void> {
    const key = `${role}.${id}`
    const current = await this.#store?.takers.get(key)
    if (!current || !this.#isOwn(current.value)) return
    await this.#store?.takers.update(key, { ...current.value, state: 'surfaced' }, current.revision)
  }

  async #serve(store: ProjectStore, role: string, signal: AbortSignal): Promise<void> {
    const reader = store.readRole(role)
    let ready = false
    while (!signal.aborted) {
      try {
        if (!ready) await reader.ensure()
        ready = true
        let left = false
        const take = async (delivery: Delivery) => {
          const verdict = await this.#take(store, role, delivery, signal)
          left = verdict === 'left'
          return verdict
        }
        if (this.#session.isFree) await reader.next(take)
        else await sleep(FREE_POLL_MS)
        if (left) await sleep(LEAVE_MS)
      } catch (error) {
        ready = false
        if (!signal.aborted) this.#session.log.debug({ error, role }, 'role not read')
        await sleep(TROUBLE_MS * (0.5 + Math.random()))
      }
    }
  }

  async #take(store: ProjectStore, role: string, delivery: Delivery, signal: AbortSignal): Promise<RoleVerdict> {
    const { incoming } = this.#session
    const envelope = incoming.read(delivery)?.envelope
    if (!envelope) return 'settled'
    if (incoming.isOwn(envelope)) return 'left'
    const { id } = envelope
    if (signal.aborted || !this.#session.isFree) return 'back'
    const { name, epoch } = this.#session.record
    const mine: Taker = { v: 1, kind: 'taker', name, epoch, seq: delivery.seq, state: 'taken' }
    const key = `${role}.${id}`
    const created = await store.takers.update(key, mine, 0)
    // Another session has it: if that is gone, the retake will find it.
    if (created !== null || (await this.#isMine(store, key))) await this.#session.incoming.deliverTaken(delivery, false)
    // A copy of it was read before.
    const { inbox } = this.#session.mailbox
    if (inbox.knows(id) && !inbox.get(id)) await this.settle(role, id)
    return 'settled'
  }

  /** Returns true if this session took the message earlier, and then failed to journal it or to get the answer. */
  async #isMine(store: ProjectStore, key: string): Promise<boolean> {
    const { name, epoch } = this.#session.record
    const taker = (await store.takers.get(key))?.value
    return taker?.state === 'taken' && taker.name === name && taker.epoch === epoch
  }

  /** Returns true for a taker that is this session, under this name or the one before. */
  #isOwn(taker: Taker): boolean {
    const { name, epoch, formerly } = this.#session.record
    return taker.name === name || (taker.name === formerly?.name && taker.epoch <= (formerly.epoch ?? epoch))
  }

  /** Takes over the unread messages of takers that are gone, and finds again what this session itself took. */
  async #retake(roles: readonly string[]): Promise<void> {
    const store = this.#store
    if (!store) return
    try {
      await this.#dropLost(store)
      for (const role of roles) {
        const open = (await store.takers.all(`${role}.>`)).filter(({ value }) => value.state === 'taken')
        for (const entry of open) await this.#retakeOne(store, role, entry)
      }
    } catch (error) {
      this.#session.log.debug({ error }, 'role messages not retaken')
    }
  }

  /** Drops messages that another session retook while this one was away. */
  async #dropLost(store: ProjectStore): Promise<void> {
    for (const { envelope, handover } of this.#session.mailbox.inbox.unread()) {
      const isCopy = this.#isPerson && isOfPeople(envelope.to)
      if (!isOfRole(envelope.to) || isCopy || handover !== null) continue
      const taker = await store.takers.get(`${envelope.to.slice('role:'.length)}.${envelope.id}`)
      if (taker && !this.#isOwn(taker.value)) this.#session.mailbox.drop(envelope.id)
    }
  }

  /** Takes a copy of what another person's shell has taken and has not read. */
  async #copyOpen(store: ProjectStore, role: string, position: number): Promise<void> {
    if (!this.#isPerson || role !== PEOPLE) return
    const delivery = await store.messageAt(position)
    if (delivery) await this.#session.incoming.deliverOpen(delivery)
  }

  async #retakeOne(store: ProjectStore, role: string, entry: Entry<Taker>): Promise<void> {
    const { name, epoch } = this.#session.record
    const isOwn = this.#isOwn(entry.value)
    if (!isOwn) {
      const holder = await holderOf(store, entry.value.name)
      if (holder && holder.state !== 'gone') return this.#copyOpen(store, role, entry.value.seq)
    }
    const delivery = await store.messageAt(entry.value.seq)
    const arrived = delivery && this.#session.incoming.read(delivery)
    if (!isOwn && arrived && this.#session.incoming.isOwn(arrived.envelope)) return
    if (entry.value.name !== name || entry.value.epoch !== epoch) {
      const written = await store.takers.update(entry.key, { ...entry.value, name, epoch }, entry.revision)
      if (written === null) return
    }
    const id = entry.key.slice(role.length + 1)
    const inbox = this.#session.mailbox.inbox
    // Read here, but the record could not be written then.
    if (inbox.knows(id)) return inbox.get(id) ? undefined : this.settle(role, id)
    if (delivery) await this.#session.incoming.deliverTaken(delivery, !isOwn)
  }
}
