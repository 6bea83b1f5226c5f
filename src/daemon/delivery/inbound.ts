/**
 * Applies the setting `inbound` to messages of other sessions. Answers to what this session asked, and what people at a
 * shell say, always come through.
 */
import { isDirect } from '../../core/mail/recipients.ts'
import { MeshError } from '../../errors.ts'
import { type Inbound, inboundIn } from '../../host/inbound.ts'
import type { Envelope, Presence } from '../../wire/envelope.schema.ts'
import { newId } from '../../wire/names.ts'
import type { CountedSession, LoopGuard } from '../mail/loops.ts'
import type { Sender } from '../mail/outbox.ts'
import { notifyPeople } from '../names/people.ts'

/** A session whose mail may be kept back. */
export interface GuardedSession extends CountedSession {
  readonly loops: LoopGuard
  readonly sender: Sender
}

export class InboundGuard {
  readonly #session: GuardedSession
  /** The setting, from the session's start on. */
  readonly policy: Inbound

  constructor(session: GuardedSession) {
    this.#session = session
    const { settings, place } = session
    this.policy = inboundIn(settings.inbound, place.project, place.inbound)
  }

  /** False while messages of other sessions are kept back, so that a role's go to somebody else. */
  get isOpen(): boolean {
    return this.policy === 'accept' || !this.#session.loops.counts
  }

  /** Returns what the heartbeat shows; nothing where messages come in. */
  shown(): Pick<Presence, 'inbound' | 'held'> {
    const { policy } = this
    if (this.isOpen || policy === 'accept') return {}
    return { inbound: policy, held: this.#session.storage?.mailbox.inbox.held().length ?? 0 }
  }

  /** Returns what is to be done with a message. Call `Senders.know` first. */
  judge({ from, replyTo }: Envelope, verified: boolean): Inbound {
    const { loops, sender } = this.#session
    if (this.isOpen || loops.senders.isPerson(from, verified)) return 'accept'
    return replyTo !== undefined && sender.get(replyTo) ? 'accept' : this.policy
  }

  /** Says why a message is held: for its sender, for traces and for people. */
  get evidence(): string {
    return `inbound: hold; a person lets it in: mesh budget resume ${this.#session.record.name}, or a prompt there`
  }

  /** Notifies the people that mail is held, with the first message of a hold. */
  async held({ from }: Envelope): Promise<void> {
    const { storage, record, log } = this.#session
    if ((storage?.mailbox.inbox.held().length ?? 0) > 1) return
    const text = [
      `${record.name} holds a message of ${from.name} (inbound: hold), and those that follow. To let them in, say something`,
      `to ${record.name}, or in a plain shell: mesh budget resume ${record.name}`,
    ].join(' ')
    await notifyPeople(this.#session, text).catch((error) =>
      log.error({ error: MeshError.from(error).toBody() }, 'the people were not notified of held mail'),
    )
  }

  /** Answers the sender of a message that is not let in. What was said to many is left without. */
  async refused(envelope: Envelope, verified: boolean): Promise<void> {
    const { steps, record, log } = this.#session
    if (!isDirect(envelope)) return
    steps.note(envelope, 'dead_lettered', `refused by ${record.name} (inbound: refuse)`)
    if (!verified) return
    const { id, from, hops } = envelope
    const text = `${record.name} takes no messages from other sessions (inbound: refuse). Yours was not read.`
    const to = { kind: 'session', name: from.name } as const
    await this.#session
      .send({ id: newId('m'), to, text, replyTo: id, hops: hops + 1, answers: from })
      .catch((error) => log.warn({ error: MeshError.from(error).toBody() }, 'a refused sender got no answer'))
  }
}
