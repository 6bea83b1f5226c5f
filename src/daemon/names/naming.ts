/** Claims a name for this session and its current conversation. */

import { setTimeout as sleep } from 'node:timers/promises'
import { isOwned } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import type { Conversation } from '../../harness/types.ts'
import { LOCAL_MEMBER } from '../../link/keys.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import type { Session } from '../session.ts'
import { type Claimed, durableOf, Registry } from './registry.ts'

/** Limits the wait for a start that says whether the conversation is a copy of another. */
const SOURCE_MS = 1000

/** A session that asks for a name. */
interface NamingSession extends Session {
  readonly desired: { name: string; explicit: boolean }
  /** Closes what the name keeps here, before it is given up. */
  leave(): void
}

export class Naming {
  readonly registry: Registry
  readonly #session: NamingSession
  readonly #begun: Promise<void>
  #begin!: () => void
  #conversation: Conversation
  #claimed: Claimed | null = null
  /** The conversation that the name was claimed for. */
  #claimedFor = ''

  constructor(session: NamingSession) {
    this.#session = session
    this.registry = new Registry(session)
    this.#conversation = session.harness.conversation
    this.#begun = new Promise((resolve) => {
      this.#begin = resolve
    })
  }

  get conversation(): Conversation {
    return this.#conversation
  }

  /** Sets the conversation that began in the session's process. */
  set conversation(conversation: Conversation) {
    this.#conversation = conversation
    this.#begin()
  }

  /** The outcome of the last claim; null before the first. */
  get claimed(): Claimed | null {
    return this.#claimed
  }

  /** True when the name was claimed for another conversation. */
  get isNewConversation(): boolean {
    return this.#claimedFor !== this.#conversation.sessionId
  }

  /** Claims a name: the first one, one for another conversation, or a new one after another session took the last. */
  async join(store: ProjectStore): Promise<void> {
    const { registry } = this
    const before = registry.claimed ? registry.record : null
    if (this.#conversation.source === null) {
      await Promise.race([this.#begun, sleep(SOURCE_MS)])
    }
    const { harness, place, desired, run, log } = this.#session
    const { sessionId, source, cwd, movedAt } = this.#conversation
    const claimant = {
      desired: desired.name,
      explicit: desired.explicit,
      session: sessionId,
      fork: source === 'fork',
      ...(movedAt === undefined ? {} : { movedAt }),
      process: harness.process,
      run: run?.id ?? null,
      member: LOCAL_MEMBER,
      harness: harness.kind,
      cwd,
      worktree: place.worktree,
      now: new Date().toISOString(),
    }
    const claimed = await registry.claim(store, claimant, () => this.#session.leave())
    log.info({ name: claimed.record.name, epoch: claimed.record.epoch, outcome: claimed.outcome }, 'name claimed')
    this.#claimed = claimed
    this.#claimedFor = sessionId
    // This session's reader created it again after the name's new owner had removed it.
    if (before && durableOf(before) !== durableOf(claimed.record)) await store.deleteDurable(durableOf(before))
  }

  /**
   * Returns false when another session owns the name. If another session recorded this one as lost, corrects the
   * record.
   */
  async isStillMine(store: ProjectStore): Promise<boolean> {
    try {
      const record = await this.registry.refresh(store)
      if (!isOwned(record)) await this.registry.change(store, living)
      return true
    } catch (error) {
      if (MeshError.from(error).code === 'conflict') return false
      throw error
    }
  }
}

function living(record: NameRecord): NameRecord {
  const { endedAt: _endedAt, reason: _reason, reasonCode: _code, witness: _witness, ...rest } = record
  return { ...rest, state: 'held' }
}
