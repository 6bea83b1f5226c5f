/**
 * Prepares the text that a session's model reads as a conversation begins: its identity on the mesh and the state it
 * keeps. A session that joined late gets it with its next turn.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Conversation } from '../../harness/types.ts'
import { isAway } from '../../link/until.ts'
import type { Naming } from '../names/naming.ts'
import type { StateSession } from '../state/handoff.ts'
import { LateStart } from './late-start.ts'
import { startText } from './start-text.ts'
import type { Context } from './state-context.ts'

/** A client waits for its start hook; after this long it starts without the text. */
const START_TEXT_MS = 2500
/**
 * Limits the wait for runs, tasks and claims, which take a few milliseconds to read. The text goes without them after
 * this.
 */
const FRESH_MS = 1000
const AWAY = 'mesh: the engine is not reachable now; peers and messages are not available.'

interface StartingSession extends StateSession {
  readonly desired: { name: string }
  readonly naming: Naming
  /** Gives the session's state to a model that lost it. */
  readonly context: Context
  /** Number of unread messages, including those still in the stream. */
  readonly waiting: number
  /** Claims the name of a conversation that is not the one the name was claimed for. */
  follow(): Promise<void>
}

export class Beginnings {
  readonly #session: StartingSession
  readonly #late: LateStart
  readonly #joined: Promise<true>
  #resolveJoined!: (joined: true) => void

  constructor(session: StartingSession) {
    this.#session = session
    this.#late = new LateStart(session.harness)
    this.#joined = new Promise((resolve) => {
      this.#resolveJoined = resolve
    })
  }

  /** Resolves the wait for a name, once the mailbox is open. */
  joined(): void {
    this.#resolveJoined(true)
  }

  /** Returns the text for the start of a conversation, in time for the client's hook. */
  async text(conversation: Conversation): Promise<string> {
    const joined = await Promise.race([this.#joined, sleep(START_TEXT_MS, null)])
    if (joined) return this.#textNow(conversation)
    this.#late.owe(() => this.#textNow(conversation))
    return AWAY
  }

  /** Notes that the client went on without the text. */
  missed(): void {
    this.#late.owe(() => this.#textNow(this.#session.naming.conversation))
    if (this.#session.link.up) void this.giveLate()
  }

  /** Gives text that an earlier start missed, with whatever starts the next turn. */
  async giveLate(): Promise<void> {
    const { log } = this.#session
    await this.#late.give().catch((error) => log.warn({ error: String(error) }, 'no text for the start'))
  }

  /** Replaces a start text that waits for the next turn, after its state was read another way. */
  async keptWasRead(): Promise<void> {
    const { naming, log } = this.#session
    const text = () => this.#startText(naming.conversation)
    await this.#late.replace(text).catch((error) => log.warn({ error: String(error) }, 'start not replaced'))
  }

  async #textNow(conversation: Conversation): Promise<string> {
    const { link, isNamed, context } = this.#session
    const text = () => this.#startText(conversation)
    const start = link.up ? await text().catch(orAway) : AWAY
    this.#late.owe(start === AWAY ? text : null)
    // A document in memory is given also while the engine is away.
    const kept = isNamed ? context.begin(conversation.source) : ''
    return kept === '' ? start : `${start}\n${kept}`
  }

  async #startText({ source }: Conversation): Promise<string> {
    const session = this.#session
    const { naming, desired, place } = session
    if (naming.isNewConversation) await session.follow()
    // A session that begins anew has nothing open.
    const isNew = source === 'startup' && naming.claimed?.outcome !== 'taken_over'
    const fresh = isNew ? null : Promise.race([session.obligations.fresh(), sleep(FRESH_MS, null)])
    const unread = session.waiting
    const sessions = await session.sessions()
    await fresh
    return startText({
      project: place.project,
      sessions,
      unread,
      claimed: naming.claimed!,
      name: session.record.name,
      held: session.loops.startNote(),
      desired: desired.name,
      goesOn: source === 'compact',
      kept: session.state.document.entries.length + session.obligations.list().length,
      startedBy: session.run?.startedBy ?? null,
      alike: place.alike ?? null,
      former: place.former ?? null,
      isShutIn: (session.harness.voice?.() ?? 'shell') !== 'shell',
    })
  }
}

function orAway(error: unknown): string {
  if (isAway(error)) return AWAY
  throw error
}
