/** A Claude Code session as its sidecar sees it: its conversations, status, doors, evidence and end. */
import { basename, join } from 'node:path'
import type { Offer } from '../../core/mail/inbox.ts'
import { MeshError } from '../../errors.ts'
import { ensurePrivateDir } from '../../host/files.ts'
import { identifyProcess, type ProcessState } from '../../host/process/process.ts'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import { sessionEnd } from '../../wire/session-end.ts'
import type { Conversation, Door, Harness, HarnessEvents, Recalled, SessionOptions, TurnEnd, Voice } from '../types.ts'
import { CurrentConversation } from './conversation.ts'
import { leaveText } from './doors/left-text.ts'
import { type Doors, isAttended, openDoors } from './doors/open.ts'
import { recallOffer } from './doors/recall.ts'
import type { HookEvent, RegistryEntry } from './hooks/event.schema.ts'
import { isPersons } from './hooks/prompt-author.ts'
import { Spool, type Spooled } from './hooks/spool.ts'
import { StartAnswer } from './hooks/start-answer.ts'
import { turnEnd } from './hooks/turn-end.ts'
import { hasHooks } from './mcp-parent.ts'
import { SidecarEvents } from './sidecar-events.ts'
import { isBackground } from './spawn/background.ts'
import { isAtPrompt } from './status/decide.ts'
import { endReason, SessionEnd } from './status/end.ts'
import { Lifeline } from './status/lifeline.ts'
import { Registry } from './status/registry.ts'
import { Subagents } from './status/subagents.ts'
import { StatusTracker } from './status/tracker.ts'
import { VoiceWatch } from './status/voice.ts'
import { EditWatch } from './transcript/edits.ts'
import { EvidenceReader } from './transcript/evidence.ts'
import { lastSeen } from './transcript/last-seen.ts'

const BEAT_MS = 1000
/**
 * Events that are older than this when the first sidecar of a client starts were left by another client of that pid.
 */
const LEFTOVER_MS = 60_000

/**
 * Opens the session whose hook or MCP server started this process. Throws `bad_request` for another directory,
 * `not_alive` when the session is over.
 */
export function createClaudeCode(options: SessionOptions): Harness {
  const pid = Number(/^cc-(\d+)$/.exec(basename(options.sessionDir))?.[1])
  if (!pid) throw new MeshError('bad_request', `${options.sessionDir} is not the directory of a Claude Code session`)
  const identity = identifyProcess(pid)
  if (!identity) throw new MeshError('not_alive', `no process ${pid}`)
  return new ClaudeCode(options, identity, new CurrentConversation(options, identity))
}

class ClaudeCode implements Harness {
  readonly kind = 'claude-code'
  readonly process: ProcessIdentity
  readonly doors: readonly Door[]
  readonly #options: SessionOptions
  readonly #current: CurrentConversation
  readonly #sidecar = new SidecarEvents()
  readonly #spoolDir: string
  readonly #spool: Spool
  readonly #registry: Registry
  readonly #lifeline: Lifeline
  readonly #seen: EvidenceReader
  readonly #edits: EditWatch
  readonly #doors: Doors
  readonly #end: SessionEnd
  readonly #subagents: Subagents
  readonly #status: StatusTracker
  readonly #startAnswer: StartAnswer
  readonly #voice: VoiceWatch
  readonly #onSignal = () => this.#signalled()
  #beat: NodeJS.Timeout | null = null

  constructor(options: SessionOptions, identity: ProcessIdentity, current: CurrentConversation) {
    const { env, sessionDir, log } = options
    this.#options = options
    this.process = identity
    this.#current = current
    this.#spoolDir = join(sessionDir, 'spool')
    this.#voice = new VoiceWatch(options)
    const lost = (what: string) => log('warn', 'a hook event was lost', { what })
    this.#spool = new Spool(this.#spoolDir, (spooled) => this.#onSpooled(spooled), lost)
    this.#registry = new Registry(env, identity.pid, (entry) => this.#onEntry(entry))
    this.#lifeline = new Lifeline(identity, (state) => this.#onProcess(state))
    const onRead = (token: string) => this.#seen.onReceived(token)
    this.#doors = openDoors(options, this.#sidecar, () => this.#status.status, onRead)
    const onInterrupt = (at: number) => this.#status.turnStopped(at)
    this.#seen = new EvidenceReader(current.transcript, this.#doors, this.#sidecar, onInterrupt)
    this.#status = new StatusTracker(isAttended(env), this.#seen, this.#sidecar, options)
    this.#subagents = new Subagents(this.#sidecar, () => this.#spool.drain())
    this.#end = new SessionEnd(this.#seen, this.#subagents, this.#sidecar)
    const onEdit = (path: string) => this.#sidecar.open?.edited(path)
    this.#edits = new EditWatch(current.transcript, onEdit, (line) => this.#status.onLine(line))
    this.#startAnswer = new StartAnswer(options, this.#sidecar)
    this.doors = this.#doors.all.map((door) => this.#seen.observe(door))
  }

  get conversation(): Conversation {
    return this.#current.conversation
  }

  get transcript(): string | null {
    return this.#current.transcript
  }

  get unknownWords(): readonly string[] {
    return this.#status.unknownWords
  }

  async start(events: HarnessEvents): Promise<void> {
    const { isContinued, transcript } = this.#current
    this.#sidecar.begin(events)
    ensurePrivateDir(this.#spoolDir)
    if (!isContinued) {
      this.#spool.sweep(Date.now() - LEFTOVER_MS)
      await this.#withdrawUnknown([])
    }
    this.#current.save()
    this.#startAnswer.keep()
    // Before the sidecar's own handler: what SessionEnd said is the better reason.
    process.prependListener('SIGTERM', this.#onSignal)
    this.#registry.read()
    if (isContinued && transcript) this.#subagents.recover(transcript)
    await this.#doors.module.start()
    this.#spool.start()
    this.#status.begin()
    this.#lifeline.start()
    this.#edits.read()
    this.#beat = setInterval(() => this.#onBeat(), BEAT_MS)
  }

  async stop(): Promise<void> {
    this.#end.isOver = true
    this.#sidecar.close()
    process.off('SIGTERM', this.#onSignal)
    if (this.#beat) clearInterval(this.#beat)
    this.#doors.module.stop()
    this.#status.stop()
    this.#spool.stop()
    this.#registry.stop()
    this.#lifeline.stop()
    this.#seen.stop()
    this.#subagents.stop()
    this.#edits.stop()
  }

  recall(offers: readonly Offer[]): Recalled[] {
    void this.#withdrawUnknown(offers.map(({ handover }) => handover))
    return offers.map((offer) => {
      const isOpen = this.#current.isContinued || this.#seen.follows(offer.handover)
      // First of all, so that no line is missed.
      if (isOpen) this.#seen.follow(offer.handover)
      return recallOffer(offer, isOpen, this.transcript, this.doors)
    })
  }

  title(): string | null {
    return this.#registry.title
  }

  voice(): Voice {
    return this.#voice.in(this.conversation.cwd)
  }

  follow(token: string): void {
    this.#seen.given(token)
  }

  wasRead(token: string): boolean {
    return lastSeen(this.transcript, [token]).get(token)?.state === 'surfaced'
  }

  leave(text: string | null, instead = false): void {
    try {
      leaveText(this.#options.sessionDir, text, instead)
    } catch (error) {
      this.#options.log('warn', 'a text could not be left', { error: String(error) })
    }
  }

  /** Withdraws mail that this sidecar does not know of. */
  async #withdrawUnknown(tokens: readonly string[]): Promise<void> {
    const unknown = this.doors.filter((door) => !tokens.some((token) => door.lies(token)))
    // All in this moment: what is offered in the next one is known.
    await Promise.all(unknown.map((door) => door.withdraw()))
  }

  // --- hooks

  #onSpooled(spooled: Spooled): void {
    const { name, event, at, text } = spooled
    const sidecar = this.#sidecar.open
    if (this.#end.isOver || !sidecar || this.#status.onHook(spooled)) return
    if (event?.agent_id !== undefined) {
      this.#subagents.onHook(spooled)
      return
    }
    this.#switchTranscript(event?.transcript_path)
    if (name === 'MailTaken') this.#seen.onMailTaken(text)
    else if (name === 'SessionStart' && event) this.#onStart(sidecar, spooled.id, event)
    else if (name === 'UserPromptSubmit') this.#onPrompt(sidecar, event?.prompt ?? '', at)
    else if (name === 'Stop' || name === 'StopFailure') {
      const turn = turnEnd(name, event)
      sidecar.turnEnded(turn)
      this.#onStop(turn, event?.background_tasks ?? [], at)
    } else if (name === 'SessionEnd') this.#onEnd(event?.reason ?? '')
  }

  #onStart(sidecar: HarnessEvents, id: string, event: HookEvent): void {
    if (event.source === 'clear' || event.source === 'resume') this.#status.begunAnew()
    this.#status.begins()
    void this.#startAnswer.give(id, sidecar.conversation(this.#current.start(event)))
  }

  #onPrompt(sidecar: HarnessEvents, prompt: string, at: number): void {
    this.#doors.hook.onTurn()
    this.#edits.read()
    this.#status.settleStop()
    this.#seen.onPrompt(prompt)
    this.#subagents.onPrompt(prompt)
    this.#status.prompted(at)
    if (isPersons(prompt)) sidecar.prompted()
  }

  #onStop({ error }: TurnEnd, background: unknown[], at: number): void {
    this.#doors.hook.onTurn()
    this.#edits.read()
    if (!error) this.#seen.onTurnEnd()
    this.#status.turnEnded(at, background.length > 0, error)
  }

  /** Ends the session, except on `clear` and `resume`, which begin another conversation in the same process. */
  #onEnd(reason: string): void {
    if (reason === 'clear' || reason === 'resume') return
    this.#end.begin(endReason(reason, this.#status.evidence, isBackground(this.#options.env)))
  }

  // --- registry

  #onEntry(entry: RegistryEntry): void {
    // The hook at a turn's end comes before: idle without it means something else.
    if (isAtPrompt(entry.status)) this.#spool.drain()
    this.#doors.inbox.found(entry.messagingSocketPath)
    if (!hasHooks(this.#options.sessionDir)) this.#compare(entry)
    this.#status.registered(entry)
  }

  /** Follows the registry, which without hooks is all that shows another conversation in this process. */
  #compare(entry: RegistryEntry): void {
    const sidecar = this.#sidecar.open
    if (this.#end.isOver || !sidecar) return
    const path = this.#current.compare(entry)
    if (path === null) return
    this.#switchTranscript(path)
    sidecar
      .conversation(this.conversation)
      .catch((error) => this.#options.log('warn', 'not followed', { error: String(error) }))
  }

  #switchTranscript(path: string | undefined): void {
    if (!this.#current.switchTranscript(path)) return
    this.#seen.switchTranscript(path)
    this.#subagents.onTranscript(path)
    this.#edits.switchTranscript(path)
  }

  #onBeat(): void {
    void this.#doors.module.start()
    this.#startAnswer.keep()
    this.#registry.read()
    this.#spool.drain()
    this.#seen.read()
    this.#subagents.beat()
    if (this.#status.status !== 'idle') this.#edits.read()
  }

  // --- the end

  #onProcess(state: ProcessState): void {
    if (state === 'dead') this.#gone()
    else this.#status.paused(state === 'paused')
  }

  /**
   * Takes SIGTERM: the client ends its hooks' children when `-p` is done. In an attended session only the sidecar is to
   * go.
   */
  #signalled(): void {
    this.#spool.drain()
    if (this.#status.evidence.attended && !this.#end.hasBegun) return
    this.#end.hurry(endReason('other', this.#status.evidence, isBackground(this.#options.env)))
  }

  #gone(): void {
    this.#spool.drain()
    const isClean = !hasHooks(this.#options.sessionDir) && this.#registry.isRemoved
    this.#end.onDeath(sessionEnd(isClean ? 'ended' : 'killed'))
  }
}
