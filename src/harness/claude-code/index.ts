/** A Claude Code session as its sidecar sees it: its conversations, status, doors, evidence and end. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { MeshError } from '../../errors.ts'
import { ensurePrivateDir, readJson, writeAtomic } from '../../host/files.ts'
import type { Env, Home } from '../../host/home.ts'
import { identifyProcess, type ProcessState } from '../../host/process.ts'
import type { ProcessIdentity, SessionStatus } from '../../wire/envelope.schema.ts'
import type { Conversation, Door, Harness, HarnessEvents, StartSource } from '../types.ts'
import { CONTEXT_CHARS, HookDoor } from './hook-door.ts'
import { type ClientRecord, clientRecord, type HookEvent } from './hook-event.schema.ts'
import { InboxDoor } from './inbox-door.ts'
import { Lifeline } from './lifeline.ts'
import { Registry } from './registry.ts'
import { peek, Spool, type Spooled } from './spool.ts'
import { decideStatus, type StatusEvidence } from './status.ts'
import { Tail } from './tail.ts'
import { readLine } from './transcript.ts'

const BEAT_MS = 1000
const RECORD_BYTES = 64 * 1024
/** What is older when the first sidecar of a client starts was left by another client that had its pid. */
const LEFTOVER_MS = 60_000
const LAST_EVIDENCE_MS = 120
/** After a signal somebody waits for our end: `-p` does, up to 1.5 s. */
const SIGNAL_EVIDENCE_MS = 90
const LOOK_MS = 10
/** Hand-overs whose evidence may still come. */
const TOKENS = 16

export interface ClaudeCodeOptions {
  /** The environment of the hook that started us: it names the inbox socket, its token and the conversation. */
  env: Env
  /** `<mesh home>/run/cc-<pid of the client>` */
  runDir: string
  home: Home
  log: (level: 'debug' | 'info' | 'warn', message: string, fields?: object) => void
}

/** The session whose hook started this process. Throws `bad_request` for another directory, `not_alive` when it is over. */
export function createClaudeCode(options: ClaudeCodeOptions): Harness {
  const pid = Number(/^cc-(\d+)$/.exec(basename(options.runDir))?.[1])
  if (!pid) throw new MeshError('bad_request', `${options.runDir} is not the directory of a Claude Code session`)
  const identity = identifyProcess(pid)
  if (!identity) throw new MeshError('not_alive', `no process ${pid}`)
  const earlier = readRecord(options.runDir)
  if (earlier && earlier.process.start !== identity.start) {
    throw new MeshError('not_alive', `process ${pid} is no longer the client`)
  }
  return new ClaudeCode(options, identity, earlier)
}

function readRecord(runDir: string): ClientRecord | null {
  return clientRecord.safeParse(readJson(join(runDir, 'client.json'), RECORD_BYTES)).data ?? null
}

class ClaudeCode implements Harness {
  readonly kind = 'claude-code'
  readonly process: ProcessIdentity
  readonly doors: readonly Door[]
  readonly #options: ClaudeCodeOptions
  readonly #spoolDir: string
  readonly #spool: Spool
  readonly #registry: Registry
  readonly #lifeline: Lifeline
  readonly #tokens = new Map<string, Tail[]>()
  readonly #restarted: boolean
  readonly #onSignal = () => this.#signalled()
  #conversation: Conversation
  #transcript: string | null
  #tail: Tail | null = null
  #beat: NodeJS.Timeout | null = null
  #statusTimer: NodeJS.Timeout | null = null
  #status: SessionStatus | null = null
  #evidence: Omit<StatusEvidence, 'now'>
  #events: HarnessEvents | null = null
  /** The reason, once the session has begun to end. */
  #ending: string | null = null
  #told = false
  /** When the last look for evidence ends. */
  #lookUntil = Number.POSITIVE_INFINITY

  constructor(options: ClaudeCodeOptions, identity: ProcessIdentity, earlier: ClientRecord | null) {
    const { env, runDir, log } = options
    this.#options = options
    this.process = identity
    this.#restarted = earlier !== null
    this.#spoolDir = join(runDir, 'spool')
    const first = peek(this.#spoolDir, 'SessionStart')?.event
    this.#conversation = earlier?.conversation ?? conversationOf(first, env)
    this.#transcript = earlier?.transcript ?? first?.transcript_path ?? null
    const attended = (env.CLAUDE_CODE_ENTRYPOINT ?? 'cli') === 'cli'
    this.#evidence = { registry: null, turn: null, paused: false, attended }
    const lost = (what: string) => log('warn', 'a hook event was lost', { what })
    this.#spool = new Spool(this.#spoolDir, (spooled) => this.#onSpooled(spooled), lost)
    this.#registry = new Registry(env, identity.pid, ({ status, statusUpdatedAt }) => {
      this.#know({ registry: status ? { status, at: momentOf(statusUpdatedAt ?? Date.now()) } : null })
    })
    this.#lifeline = new Lifeline(identity, (state) => this.#onProcess(state))
    this.doors = [new HookDoor(runDir), new InboxDoor(env)].map((door) => this.#observed(door))
  }

  get conversation(): Conversation {
    return this.#conversation
  }

  async start(events: HarnessEvents): Promise<void> {
    this.#events = events
    ensurePrivateDir(this.#spoolDir)
    this.#clear()
    this.#save()
    // Before the sidecar's own handler: what SessionEnd said is the better reason.
    process.prependListener('SIGTERM', this.#onSignal)
    this.#registry.read()
    this.#spool.start()
    this.#tell()
    this.#lifeline.start()
    this.#beat = setInterval(() => this.#onBeat(), BEAT_MS)
  }

  async stop(): Promise<void> {
    this.#told = true
    process.off('SIGTERM', this.#onSignal)
    if (this.#beat) clearInterval(this.#beat)
    if (this.#statusTimer) clearTimeout(this.#statusTimer)
    this.#spool.stop()
    this.#registry.stop()
    this.#lifeline.stop()
    for (const tail of this.#tails()) tail.stop()
  }

  /** Nothing in flight outlives a sidecar: its mail is offered again by the next, from the journal. */
  #clear(): void {
    const { runDir } = this.#options
    rmSync(join(runDir, 'mail'), { force: true })
    rmSync(join(runDir, 'mail.back'), { force: true })
    if (this.#restarted) return
    this.#spool.sweep(Date.now() - LEFTOVER_MS)
  }

  #save(): void {
    const record: ClientRecord = {
      process: this.process,
      conversation: this.#conversation,
      transcript: this.#transcript,
    }
    try {
      writeAtomic(join(this.#options.runDir, 'client.json'), JSON.stringify(record, null, 2))
    } catch (error) {
      this.#options.log('warn', 'client.json not written', { error: String(error) })
    }
  }

  // --- what the hooks tell

  #onSpooled(spooled: Spooled): void {
    const { name, event, at, text } = spooled
    if (this.#told || event?.agent_id !== undefined) return
    if (event) this.#switchTranscript(event)
    if (name === 'MailTaken') this.#mailTaken(text)
    else if (name === 'SessionStart') this.#onStart(spooled)
    else if (name === 'UserPromptSubmit') this.#onPrompt(event?.prompt ?? '', at)
    else if (name === 'Stop' || name === 'StopFailure') this.#onStop(event?.background_tasks ?? [], at)
    else if (name === 'SessionEnd') this.#onEnd(event?.reason ?? '')
  }

  #onStop(background: unknown[], at: number): void {
    this.#know({ turn: { running: false, at: momentOf(at), background: background.length > 0 } })
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

  /** The waiting hook prints what it finds. An empty file ends its wait. */
  #answer(id: string, text: string): void {
    const hookSpecificOutput = { hookEventName: 'SessionStart', additionalContext: text.slice(0, CONTEXT_CHARS) }
    const dir = join(this.#options.runDir, 'start')
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      // A hook that no longer waited left its answer.
      for (const name of readdirSync(dir)) rmSync(join(dir, name), { force: true })
      writeAtomic(join(dir, id), text === '' ? '' : `${JSON.stringify({ hookSpecificOutput })}\n`)
    } catch (error) {
      this.#options.log('warn', 'the start was not answered', { error: String(error) })
    }
  }

  /** `clear` and `resume` begin another conversation in the same process. */
  #onEnd(reason: string): void {
    if (reason === 'clear' || reason === 'resume') return
    this.#end(endReason(reason, this.#evidence))
  }

  #mailTaken(json: string): void {
    for (const token of this.#tokens.keys()) {
      if (json.includes(token)) this.#events!.evidence(token, 'handed', 'taken by a hook')
    }
  }

  // --- evidence

  #observed(door: Door): Door {
    let offered = ''
    return {
      name: door.name,
      reaches: door.reaches,
      available: () => door.available(),
      offer: async (text, token) => {
        this.#expect(token)
        offered = token
        await door.offer(text, token).catch((error) => {
          this.#settle(token)
          throw error
        })
      },
      withdraw: async () => {
        const back = await door.withdraw()
        if (back) this.#settle(offered)
        return back
      },
    }
  }

  /** From here on the transcript is read, and only while something is expected. */
  #expect(token: string): void {
    if (!this.#tail && this.#transcript) this.#tail = this.#follow(this.#transcript)
    this.#tokens.set(token, this.#tail ? [this.#tail] : [])
    if (this.#tokens.size > TOKENS) this.#settle(this.#tokens.keys().next().value!)
  }

  #follow(path: string): Tail {
    const tail = new Tail(path, (line) => {
      for (const { token, state, evidence } of readLine(line, [...this.#tokens.keys()]))
        this.#show(token, state, evidence)
    })
    tail.start()
    return tail
  }

  #onPrompt(prompt: string, at: number): void {
    for (const token of [...this.#tokens.keys()]) {
      if (prompt.includes(token)) this.#show(token, 'surfaced', 'UserPromptSubmit hook')
    }
    this.#know({ turn: { running: true, at: momentOf(at) } })
  }

  #show(token: string, state: 'handed' | 'surfaced', evidence: string): void {
    if (this.#told) return
    if (state === 'surfaced') this.#settle(token)
    this.#events!.evidence(token, state, evidence)
  }

  #settle(token: string): void {
    const tails = this.#tokens.get(token) ?? []
    this.#tokens.delete(token)
    const used = this.#tails()
    for (const tail of tails) if (!used.has(tail)) tail.stop()
    if (this.#tail && !used.has(this.#tail)) this.#tail = null
  }

  #tails(): Set<Tail> {
    return new Set([...this.#tokens.values()].flat())
  }

  /** `/clear` and `/resume` change the transcript: evidence of what is under way may come in either. */
  #switchTranscript({ transcript_path: path }: HookEvent): void {
    if (!path || path === this.#transcript) return
    this.#transcript = path
    this.#save()
    this.#tail = null
    if (this.#tokens.size === 0) return
    this.#tail = this.#follow(path)
    for (const tails of this.#tokens.values()) tails.push(this.#tail)
  }

  // --- status

  #know(news: Partial<StatusEvidence>): void {
    this.#evidence = { ...this.#evidence, ...news }
    this.#tell()
  }

  #tell(): void {
    if (this.#told || !this.#events) return
    const { status, againMs } = decideStatus({ ...this.#evidence, now: performance.now() })
    if (this.#statusTimer) clearTimeout(this.#statusTimer)
    this.#statusTimer = againMs === null ? null : setTimeout(() => this.#tell(), againMs)
    if (status === this.#status) return
    this.#status = status
    this.#events.status(status)
  }

  #onBeat(): void {
    this.#registry.read()
    this.#spool.drain()
    for (const tail of this.#tails()) tail.read()
  }

  // --- the end

  #onProcess(state: ProcessState): void {
    const paused = state === 'paused'
    if (state === 'dead') this.#gone()
    else if (paused !== this.#evidence.paused) this.#know({ paused })
  }

  /** The client ends its hooks' children when `-p` is done. In an attended session somebody wants the sidecar gone. */
  #signalled(): void {
    this.#spool.drain()
    if (this.#evidence.attended && !this.#ending) return
    this.#ending ??= endReason('other', this.#evidence)
    this.#lastLook(SIGNAL_EVIDENCE_MS)
  }

  /** What SessionEnd says comes before what is only witnessed. */
  #gone(): void {
    this.#spool.drain()
    if (this.#ending) this.#over()
    else this.#end('killed')
  }

  #end(reason: string): void {
    if (this.#ending) return
    this.#ending = reason
    this.#lastLook(LAST_EVIDENCE_MS)
  }

  /** The client writes its transcript every 0.1 s: what was read just before the end may be told there yet. */
  #lastLook(ms: number): void {
    this.#lookUntil = Math.min(this.#lookUntil, performance.now() + ms)
    for (const tail of this.#tails()) tail.read()
    if (this.#tokens.size === 0 || performance.now() >= this.#lookUntil) this.#over()
    else setTimeout(() => this.#lastLook(ms), LOOK_MS)
  }

  #over(): void {
    if (this.#told) return
    this.#told = true
    this.#events!.ended(this.#ending!)
  }
}

/**
 * A time of the client's or a file's clock as one of `performance.now()`, which nobody sets back while it is compared.
 * One that is still to come counts as now.
 */
function momentOf(time: number): number {
  return performance.now() - Math.max(0, Date.now() - time)
}

function conversationOf(event: HookEvent | null | undefined, env: Env): Conversation {
  return {
    sessionId: event?.session_id ?? env.CLAUDE_CODE_SESSION_ID ?? 'unknown',
    source: startSource(event?.source),
    cwd: event?.cwd ?? env.CLAUDE_PROJECT_DIR ?? process.cwd(),
  }
}

function startSource(source: string | undefined): StartSource {
  return source === 'resume' || source === 'clear' || source === 'compact' || source === 'fork' ? source : 'startup'
}

/** SessionEnd says `other` for a signal and for the end of `-p` alike (CLAUDE_CODE 2.1). */
function endReason(reason: string, { attended, turn }: Pick<StatusEvidence, 'attended' | 'turn'>): string {
  if (reason === 'prompt_input_exit') return 'exit'
  if (reason !== 'other') return reason === '' ? 'ended' : reason.slice(0, 64)
  return !attended && turn && !turn.running ? 'finished' : 'ended by a signal'
}
