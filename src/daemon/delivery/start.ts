/** What a session's model reads as a conversation begins: who it is on the mesh, and what it keeps. Later, if it joined late. */
import { MeshError } from '../../errors.ts'
import type { Conversation, StartSource } from '../../harness/types.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Naming } from '../names/claim.ts'
import type { Sidecar } from '../sidecar.ts'
import { LateStart } from './late-start.ts'
import { startText } from './start-text.ts'

/** A client's start waits for its hook: past this it starts without our text. */
const START_TEXT_MS = 2500
/** Runs, tasks and claims are read in a few milliseconds; a start is answered without them after this long. */
const FRESH_MS = 1000
const AWAY = 'mesh: the engine is not reachable now; peers and messages are not available.'

interface BeginningsOptions {
  sidecar: Sidecar
  naming: Naming
  /** Claims the name of a conversation that is not the one the name was claimed for. */
  follow(store: ProjectStore): Promise<void>
  /** What is kept through a cut of the context; empty for a conversation that lost nothing. */
  kept(source: StartSource | null): string
}

export class Beginnings {
  readonly #options: BeginningsOptions
  readonly #late: LateStart
  readonly #joined: Promise<true>
  #resolveJoined!: (joined: true) => void

  constructor(options: BeginningsOptions) {
    this.#options = options
    this.#late = new LateStart(options.sidecar.options.harness)
    this.#joined = new Promise((resolve) => {
      this.#resolveJoined = resolve
    })
  }

  /** The session has a name, and its mailbox is open. */
  joined(): void {
    this.#resolveJoined(true)
  }

  /** The text for the start of a conversation, in time for the client's hook. */
  async text(conversation: Conversation): Promise<string> {
    const joined = await Promise.race([this.#joined, after(START_TEXT_MS)])
    if (joined) return this.#textNow(conversation)
    this.#late.owe(() => this.#textNow(conversation))
    return AWAY
  }

  /** The client went on without the text. */
  missed(): void {
    this.#late.owe(() => this.#textNow(this.#options.naming.conversation))
    if (this.#options.sidecar.link.up) void this.giveLate()
  }

  /** The session is on the mesh: what an earlier start was not told is given with what starts the next turn. */
  async giveLate(): Promise<void> {
    const { log } = this.#options.sidecar.options
    await this.#late.give().catch((error) => log.warn({ error: String(error) }, 'no text for the start'))
  }

  /** What is kept was read another way: a start that waits for the next turn goes without it. */
  async keptWasRead(): Promise<void> {
    const { sidecar, naming } = this.#options
    const text = () => this.#startText(sidecar.link.store, naming.conversation)
    await this.#late
      .replace(text)
      .catch((error) => sidecar.options.log.warn({ error: String(error) }, 'start not replaced'))
  }

  async #textNow(conversation: Conversation): Promise<string> {
    const { link, registry } = this.#options.sidecar
    const text = () => this.#startText(link.store, conversation)
    const start = link.up ? await text().catch(orAway) : AWAY
    this.#late.owe(start === AWAY ? text : null)
    // A document in memory is given also while the engine is away.
    const kept = registry.claimed ? this.#options.kept(conversation.source) : ''
    return kept === '' ? start : `${start}\n${kept}`
  }

  async #startText(store: ProjectStore, { source }: Conversation): Promise<string> {
    const { sidecar, naming, follow } = this.#options
    if (naming.isNewConversation) await follow(store)
    const { desired, place } = sidecar.options
    // A session that begins anew has nothing open.
    const isNew = source === 'startup' && naming.claimed?.outcome !== 'taken_over'
    const fresh = isNew ? null : Promise.race([sidecar.obligations.fresh(), after(FRESH_MS)])
    const unread = sidecar.waiting
    const sessions = await sidecar.presence.sessions(store)
    await fresh
    return startText({
      project: place.project,
      sessions,
      unread,
      claimed: naming.claimed!,
      name: sidecar.record.name,
      held: sidecar.loops.startNote(),
      desired: desired.name,
      goesOn: source === 'compact',
      kept: sidecar.state.document.entries.length + sidecar.obligations.list().length,
      startedBy: sidecar.run?.startedBy ?? null,
    })
  }
}

function orAway(error: unknown): string {
  if (['mesh_down', 'timeout'].includes(MeshError.from(error).code)) return AWAY
  throw error
}

function after(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, ms, null))
}
