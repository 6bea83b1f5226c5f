/** Follows hand-overs from the door to the model: watches transcript and hooks for their tokens. */
import { existsSync } from 'node:fs'
import type { Door, EvidenceState } from '../../types.ts'
import type { HookDoor } from '../doors/hook.ts'
import type { InboxDoor } from '../doors/inbox.ts'
import type { ModuleDoor } from '../doors/module.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import { type Evidence, isAnswer, readInterrupt, readLine } from './line-evidence.ts'
import { Tail } from './tail.ts'

/** Limits the hand-overs that are followed. */
const TOKENS = 16

interface Followed {
  tails: Tail[]
  got: 'offered' | 'handed' | 'surfaced'
  /** A hook gave it along with a prompt. */
  withPrompt: boolean
}

/** Doors that learn from evidence. */
interface Learning {
  module: ModuleDoor
  hook: HookDoor
  inbox: InboxDoor
}

export class EvidenceReader {
  readonly #doors: Learning
  readonly #sidecar: SidecarEvents
  readonly #onInterrupt: (at: number) => void
  readonly #tokens = new Map<string, Followed>()
  #transcript: string | null
  #tail: Tail | null = null

  /** `onInterrupt`: a person stopped a turn, and when, by the client's clock. */
  constructor(transcript: string | null, doors: Learning, sidecar: SidecarEvents, onInterrupt: (at: number) => void) {
    this.#transcript = transcript
    this.#doors = doors
    this.#sidecar = sidecar
    this.#onInterrupt = onInterrupt
  }

  /** The number of hand-overs that may still be read. */
  get pending(): number {
    return this.#unread().length
  }

  /** Returns the door with its offers followed. */
  observe(door: Door): Door {
    let offered = ''
    return {
      name: door.name,
      get reaches() {
        return door.reaches
      },
      available: () => door.available(),
      lies: (token) => door.lies(token),
      offer: async (text, token) => {
        this.follow(token)
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

  /** Reads the transcript for the token from here on, and only while evidence is expected. */
  follow(token: string): void {
    if (this.#tokens.has(token)) return
    if (!this.#tail && this.#transcript) this.#tail = this.#open(this.#transcript)
    this.#tokens.set(token, { tails: this.#tail ? [this.#tail] : [], got: 'offered', withPrompt: false })
    if (this.#tokens.size > TOKENS) this.#settle(this.#tokens.keys().next().value!)
  }

  /** Follows a text that a hook is giving just now. */
  given(token: string): void {
    this.follow(token)
    this.#tokens.get(token)!.got = 'handed'
  }

  follows(token: string): boolean {
    return this.#tokens.has(token)
  }

  /** Takes the news that the client read the inbox socket's frame. */
  onReceived(token: string): void {
    if (this.#tokens.has(token)) this.#onSeen(token, 'received', 'read off the inbox socket')
  }

  /** Takes the news that a hook took the mail file. */
  onMailTaken(json: string): void {
    for (const token of this.#in(json)) this.#show({ token, state: 'handed', evidence: 'taken by a hook' })
  }

  /**
   * Takes a prompt. Its hook runs before the request: another hook may still block the prompt, or the client may die.
   */
  onPrompt(prompt: string): void {
    for (const token of this.#in(prompt)) this.#show({ token, state: 'handed', evidence: 'UserPromptSubmit hook' })
  }

  /**
   * Takes the news that the prompt is gone: the person stopped the turn before the model's first word. The client puts
   * the prompt back into the input and takes it out of the conversation, with a hook's text beside it (2.1.197 and
   * 2.1.329).
   */
  onPromptTakenBack(): void {
    for (const [token, { got, withPrompt }] of [...this.#tokens]) {
      if (got !== 'surfaced' || !withPrompt) continue
      this.#settle(token)
      this.#onSeen(token, 'forgotten', 'its prompt was taken back before an answer')
    }
  }

  /** Takes a turn's regular end: the model has read its texts, also in a client that keeps no transcript. */
  onTurnEnd(): void {
    const isKept = this.#transcript !== null && existsSync(this.#transcript)
    for (const [token, followed] of [...this.#tokens]) {
      if (followed.got === 'handed' && !isKept)
        this.#show({ token, state: 'surfaced', evidence: 'the turn with it ended' })
      if (followed.got === 'surfaced') this.#answered(token)
    }
  }

  /** Follows `/clear` and `/resume` into another transcript: evidence of pending hand-overs may come in either. */
  switchTranscript(path: string): void {
    this.#transcript = path
    this.#tail = null
    for (const [token, { got }] of [...this.#tokens]) if (got === 'surfaced') this.#settle(token)
    if (this.#tokens.size === 0) return
    this.#tail = this.#open(path)
    for (const { tails } of this.#tokens.values()) tails.push(this.#tail)
  }

  /** Reads appended lines. Called on a slow beat as well: a watcher may miss something. */
  read(): void {
    for (const tail of this.#tails()) tail.read()
  }

  stop(): void {
    for (const tail of this.#tails()) tail.stop()
  }

  #unread(): string[] {
    return [...this.#tokens].filter(([, { got }]) => got !== 'surfaced').map(([token]) => token)
  }

  #in(text: string): string[] {
    return this.#unread().filter((token) => text.includes(token))
  }

  #open(path: string): Tail {
    const tail: Tail = new Tail(path, (line) => this.#onLine(tail, line))
    tail.start()
    return tail
  }

  #onLine(tail: Tail, line: string): void {
    const read = [...this.#tokens].filter(([, { got, tails }]) => got === 'surfaced' && tails.includes(tail))
    if (read.length > 0 && isAnswer(line)) for (const [token] of read) this.#answered(token)
    for (const seen of readLine(line, this.#unread())) this.#show(seen)
    const interruptedAt = readInterrupt(line)
    if (interruptedAt !== null) this.#onInterrupt(interruptedAt)
  }

  #show({ token, state, evidence, hook }: Evidence): void {
    const followed = this.#tokens.get(token)
    if (!followed) return
    if (state === 'refused') this.#settle(token)
    else if (state === 'handed' || state === 'surfaced') followed.got = state
    followed.withPrompt ||= hook === 'UserPromptSubmit'
    if (hook) this.#doors.hook.onShown(hook === 'Stop')
    this.#onSeen(token, state, evidence)
  }

  /** Nothing comes after `answered` or `forgotten`. */
  #onSeen(token: string, state: EvidenceState, evidence: string): void {
    if (state !== 'received') this.#doors.inbox.onEvidence(token)
    if (state === 'surfaced') this.#doors.module.onEvidence(token)
    this.#sidecar.open?.evidence(token, state, evidence)
  }

  #answered(token: string): void {
    this.#settle(token)
    this.#onSeen(token, 'answered', 'the model went on from there')
  }

  #settle(token: string): void {
    const { tails } = this.#tokens.get(token) ?? { tails: [] }
    this.#tokens.delete(token)
    const used = this.#tails()
    for (const tail of tails) if (!used.has(tail)) tail.stop()
    if (this.#tail && !used.has(this.#tail)) this.#tail = null
  }

  #tails(): Set<Tail> {
    return new Set([...this.#tokens.values()].flatMap(({ tails }) => tails))
  }
}
