/** A Claude Code session as its sidecar sees it: its conversations, status, doors, evidence and end. */
import { existsSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Offer } from '../../core/mail/inbox.ts'
import { MeshError } from '../../errors.ts'
import { ensurePrivateDir, readJson, writeAtomic } from '../../host/files.ts'
import { identifyProcess, type ProcessState } from '../../host/process/process.ts'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import { sessionEnd } from '../../wire/session-end.ts'
import type { Conversation, Door, Harness, HarnessEvents, Recalled, SessionOptions, TurnEnd } from '../types.ts'
import { HookDoor } from './doors/hook.ts'
import { InboxDoor } from './doors/inbox.ts'
import { WatchDoor } from './doors/watch.ts'
import { type ClientRecord, clientRecord, type HookEvent, type RegistryEntry } from './hooks/event.schema.ts'
import { isPersons } from './hooks/prompt.ts'
import { peek, Spool, type Spooled } from './hooks/spool.ts'
import { answerStart, conversationOf, leaveText } from './hooks/start.ts'
import { hasHooks } from './mcp-parent.ts'
import { endReason, SessionEnd } from './status/end.ts'
import { registeredConversation, transcriptPath } from './status/hookless.ts'
import { Lifeline } from './status/lifeline.ts'
import { Registry, readEntry } from './status/registry.ts'
import { Subagents } from './status/subagents.ts'
import { StatusTeller } from './status/teller.ts'
import { EditWatch } from './transcript/edits.ts'
import { modelError } from './transcript/ended.ts'
import { EvidenceReader } from './transcript/evidence.ts'
import { lastSeen } from './transcript/recall.ts'

const BEAT_MS = 1000
/** A hook that waits takes its answer within a step of 20 ms. */
const ANSWER_TAKEN_MS = 1000
const RECORD_BYTES = 64 * 1024
/** What is older when the first sidecar of a client starts was left by another client that had its pid. */
const LEFTOVER_MS = 60_000

/** The session whose hook started this process. Throws `bad_request` for another directory, `not_alive` when it is over. */
export function createClaudeCode(options: SessionOptions): Harness {
  const pid = Number(/^cc-(\d+)$/.exec(basename(options.sessionDir))?.[1])
  if (!pid) throw new MeshError('bad_request', `${options.sessionDir} is not the directory of a Claude Code session`)
  const identity = identifyProcess(pid)
  if (!identity) throw new MeshError('not_alive', `no process ${pid}`)
  const earlier = readRecord(options.sessionDir)
  if (earlier && earlier.process.start !== identity.start) {
    throw new MeshError('not_alive', `process ${pid} is no longer the client`)
  }
  return new ClaudeCode(options, identity, earlier)
}

function readRecord(sessionDir: string): ClientRecord | null {
  return clientRecord.safeParse(readJson(join(sessionDir, 'client.json'), RECORD_BYTES)).data ?? null
}

class ClaudeCode implements Harness {
  readonly kind = 'claude-code'
  readonly process: ProcessIdentity
  readonly doors: readonly Door[]
  readonly #options: SessionOptions
  readonly #spoolDir: string
  readonly #spool: Spool
  readonly #registry: Registry
  readonly #lifeline: Lifeline
  readonly #seen: EvidenceReader
  readonly #edits: EditWatch
  readonly #hook: HookDoor
  readonly #end: SessionEnd
  readonly #subagents: Subagents
  readonly #status: StatusTeller
  readonly #restarted: boolean
  readonly #onSignal = () => this.#signalled()
  #conversation: Conversation
  #transcript: string | null
  #beat: NodeJS.Timeout | null = null
  #events: HarnessEvents | null = null

  constructor(options: SessionOptions, identity: ProcessIdentity, earlier: ClientRecord | null) {
    const { env, sessionDir, log } = options
    this.#options = options
    this.process = identity
    this.#restarted = earlier !== null
    this.#spoolDir = join(sessionDir, 'spool')
    const first = peek(this.#spoolDir, 'SessionStart')?.event
    const isHooked = () => hasHooks(sessionDir)
    const entry = earlier || first || isHooked() ? null : readEntry(env, identity.pid)
    const begun = entry ? registeredConversation(entry, null, env) : conversationOf(first, env)
    this.#conversation = earlier?.conversation ?? begun
    this.#transcript = earlier?.transcript ?? first?.transcript_path ?? (entry && transcriptPath(begun, env))
    const attended = (env.CLAUDE_CODE_ENTRYPOINT ?? 'cli') === 'cli'
    const lost = (what: string) => log('warn', 'a hook event was lost', { what })
    this.#spool = new Spool(this.#spoolDir, (spooled) => this.#onSpooled(spooled), lost)
    this.#registry = new Registry(env, identity.pid, (entry) => this.#onEntry(entry))
    this.#lifeline = new Lifeline(identity, (state) => this.#onProcess(state))
    const inbox = new InboxDoor(
      env,
      (token) => this.#seen.onReceived(token),
      () => !isHooked(),
    )
    const watch = new WatchDoor(sessionDir, () => attended && isHooked() && !inbox.works())
    this.#hook = new HookDoor(sessionDir, isHooked)
    this.#seen = new EvidenceReader(this.#transcript, {
      onSeen: (token, state, evidence) => {
        if (state !== 'received') inbox.onEvidence(token)
        if (!this.#end.isOver) this.#events!.evidence(token, state, evidence)
      },
      onHookShown: (atStop) => this.#hook.onShown(atStop),
      onInterrupt: (at) => this.#status.turnStopped(at),
    })
    this.#status = new StatusTeller(attended, {
      status: (status, waitingFor) => this.#ifLiving((events) => events.status(status, waitingFor)),
      interrupted: (is) => this.#ifLiving((events) => events.interrupted(is)),
      readTranscript: () => this.#seen.read(),
      onPromptTakenBack: () => this.#seen.onPromptTakenBack(),
    })
    this.#subagents = new Subagents(
      {
        started: (agent, again) => this.#events?.subagentStarted?.(agent, again) ?? false,
        idle: (id) => this.#events?.subagentIdle?.(id),
        ended: (id, end) => this.#events?.subagentEnded?.(id, end),
      },
      () => this.#spool.drain(),
    )
    this.#end = new SessionEnd(this.#seen, (end) => {
      this.#subagents.over()
      this.#events!.ended(end)
    })
    this.#edits = new EditWatch(this.#transcript, (path) => this.#events?.edited(path))
    this.doors = [this.#hook, watch, inbox].map((door) => this.#seen.observe(door))
  }

  get conversation(): Conversation {
    return this.#conversation
  }

  get transcript(): string | null {
    return this.#transcript
  }

  async start(events: HarnessEvents): Promise<void> {
    this.#events = events
    ensurePrivateDir(this.#spoolDir)
    if (!this.#restarted) {
      this.#spool.sweep(Date.now() - LEFTOVER_MS)
      await this.#withdrawUnknown([])
    }
    this.#save()
    // Before the sidecar's own handler: what SessionEnd said is the better reason.
    process.prependListener('SIGTERM', this.#onSignal)
    this.#registry.read()
    if (this.#restarted && this.#transcript) this.#subagents.recover(this.#transcript)
    this.#spool.start()
    this.#status.begin()
    this.#lifeline.start()
    this.#edits.read()
    this.#beat = setInterval(() => this.#onBeat(), BEAT_MS)
  }

  async stop(): Promise<void> {
    this.#end.isOver = true
    process.off('SIGTERM', this.#onSignal)
    if (this.#beat) clearInterval(this.#beat)
    this.#status.stop()
    this.#spool.stop()
    this.#registry.stop()
    this.#lifeline.stop()
    this.#seen.stop()
    this.#subagents.stop()
    this.#edits.stop()
  }

  recall(offers: readonly Offer[]): Recalled[] {
    const tokens = offers.map(({ handover }) => handover)
    void this.#withdrawUnknown(tokens)
    return offers.map((offer) => this.#recallOne(offer))
  }

  follow(token: string): void {
    this.#seen.given(token)
  }

  wasRead(token: string): boolean {
    return lastSeen(this.#transcript, [token]).get(token)?.state === 'surfaced'
  }

  #recallOne({ handover: token, door }: Offer): Recalled {
    const isOpen = this.#restarted || this.#seen.follows(token)
    // First of all, so that no line is missed.
    if (isOpen) this.#seen.follow(token)
    const seen = lastSeen(this.#transcript, [token]).get(token)
    if (seen?.state === 'surfaced') return { state: 'surfaced', evidence: seen.evidence }
    if (!isOpen || seen?.state === 'refused') return { state: 'lost', evidence: 'its client ended before it was read' }
    if (seen) return { state: seen.state, evidence: seen.evidence }
    const isFile = door !== 'inbox-socket'
    const lies = this.doors.some((one) => one.name === door && one.lies(token))
    return isFile && !lies ? { state: 'handed', evidence: 'taken by a hook' } : { state: 'open', evidence: '' }
  }

  /** No mail is given out that nobody here knows of. */
  async #withdrawUnknown(tokens: readonly string[]): Promise<void> {
    for (const door of this.doors) if (!tokens.some((token) => door.lies(token))) await door.withdraw()
  }

  #save(): void {
    const record: ClientRecord = {
      process: this.process,
      conversation: this.#conversation,
      transcript: this.#transcript,
    }
    try {
      writeAtomic(join(this.#options.sessionDir, 'client.json'), JSON.stringify(record, null, 2))
    } catch (error) {
      this.#options.log('warn', 'client.json not written', { error: String(error) })
    }
  }

  /** Nothing is told of a session that is over. */
  #ifLiving(tell: (events: HarnessEvents) => void): void {
    if (this.#events && !this.#end.isOver) tell(this.#events)
  }

  // --- what the hooks tell

  #onSpooled(spooled: Spooled): void {
    const { name, event, at, text } = spooled
    if (this.#end.isOver) return
    if (event?.agent_id !== undefined) {
      this.#subagents.onHook(spooled)
      return
    }
    this.#switchTranscript(event?.transcript_path)
    if (name === 'MailTaken') this.#seen.onMailTaken(text)
    else if (name === 'SessionStart') this.#onStart(spooled)
    else if (name === 'UserPromptSubmit') this.#onPrompt(event?.prompt ?? '', at)
    else if (name === 'Stop' || name === 'StopFailure') {
      this.#events!.turnEnded(turnEnd(name, event))
      this.#onStop(name, event?.background_tasks ?? [], at)
    } else if (name === 'SessionEnd') this.#onEnd(event?.reason ?? '')
  }

  #onStop(name: string, background: unknown[], at: number): void {
    this.#hook.onTurn()
    this.#edits.read()
    if (name === 'Stop') this.#seen.onTurnEnd()
    this.#status.turnEnded(at, background.length > 0)
  }

  #onStart(spooled: Spooled): void {
    if (!spooled.event) return
    this.#conversation = conversationOf(spooled.event, this.#options.env)
    this.#save()
    const answered = this.#events!.conversation(this.#conversation)
    answered.then(
      (text) => this.#answer(spooled.id, text),
      (error) => {
        this.#options.log('warn', 'no text for the start', { error: String(error) })
        this.#answer(spooled.id, '')
      },
    )
  }

  #answer(id: string, text: string): void {
    try {
      const path = answerStart(this.#options.sessionDir, id, text)
      if (text === '') return
      setTimeout(() => this.#lookAtAnswer(path), ANSWER_TAKEN_MS).unref()
    } catch (error) {
      this.#options.log('warn', 'the start was not answered', { error: String(error) })
    }
  }

  #lookAtAnswer(path: string): void {
    if (this.#end.isOver || !existsSync(path)) return
    rmSync(path, { force: true })
    this.#events!.startMissed?.()
  }

  leave(text: string | null, instead = false): void {
    try {
      leaveText(this.#options.sessionDir, text, instead)
    } catch (error) {
      this.#options.log('warn', 'a text could not be left', { error: String(error) })
    }
  }

  /** `clear` and `resume` begin another conversation in the same process. */
  #onEnd(reason: string): void {
    if (reason === 'clear' || reason === 'resume') return
    this.#end.begin(endReason(reason, this.#status.evidence))
  }

  #onPrompt(prompt: string, at: number): void {
    this.#hook.onTurn()
    this.#edits.read()
    this.#status.settleStop()
    this.#seen.onPrompt(prompt)
    this.#subagents.onPrompt(prompt)
    this.#status.prompted(at)
    if (isPersons(prompt)) this.#events!.prompted()
  }

  // --- what the registry tells

  #onEntry(entry: RegistryEntry): void {
    // The hook at a turn's end comes before: idle without it means something else.
    if (entry.status === 'idle') this.#spool.drain()
    if (!hasHooks(this.#options.sessionDir)) this.#compare(entry)
    this.#status.registered(entry)
  }

  /** Without hooks only the registry tells that another conversation began in this process. */
  #compare(entry: RegistryEntry): void {
    if (this.#end.isOver || !this.#events) return
    if (!entry.sessionId || entry.sessionId === this.#conversation.sessionId) return
    const { env, log } = this.#options
    this.#conversation = registeredConversation(entry, this.#conversation, env)
    this.#switchTranscript(transcriptPath(this.#conversation, env))
    this.#save()
    this.#events
      .conversation(this.#conversation)
      .catch((error) => log('warn', 'not followed', { error: String(error) }))
  }

  #switchTranscript(path: string | undefined): void {
    if (!path || path === this.#transcript) return
    this.#transcript = path
    this.#save()
    this.#seen.switchTranscript(path)
    this.#subagents.onTranscript(path)
    this.#edits.switchTranscript(path)
  }

  #onBeat(): void {
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

  /** The client ends its hooks' children when `-p` is done. In an attended session somebody wants the sidecar gone. */
  #signalled(): void {
    this.#spool.drain()
    if (this.#status.evidence.attended && !this.#end.hasBegun) return
    this.#end.hurry(endReason('other', this.#status.evidence))
  }

  #gone(): void {
    this.#spool.drain()
    const isClean = !hasHooks(this.#options.sessionDir) && this.#registry.isRemoved
    this.#end.onDeath(sessionEnd(isClean ? 'ended' : 'killed'))
  }
}

function turnEnd(name: 'Stop' | 'StopFailure', event: HookEvent | null | undefined): TurnEnd {
  const text = event?.last_assistant_message ?? null
  if (name === 'Stop') return { text, error: null }
  return { text: null, error: modelError(event?.error ?? 'unknown', text ?? '') }
}
