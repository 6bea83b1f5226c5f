/** Follows hand-overs from the door to the model: what the transcript and the hooks show of the tokens given out. */
import type { Door, HarnessEvents } from '../types.ts'
import { Tail } from './tail.ts'
import { readInterrupt, readLine } from './transcript.ts'

/** Hand-overs whose evidence may still come. */
const TOKENS = 16

export class EvidenceReader {
  readonly #show: HarnessEvents['evidence']
  readonly #onInterrupt: (at: number) => void
  readonly #tokens = new Map<string, Tail[]>()
  #transcript: string | null
  #tail: Tail | null = null

  /**
   * `show` is told what is seen of a token; nothing more of it after `surfaced`. `onInterrupt` is told of a stopped
   * turn and when, by the client's clock.
   */
  constructor(transcript: string | null, show: HarnessEvents['evidence'], onInterrupt: (at: number) => void) {
    this.#onInterrupt = onInterrupt
    this.#transcript = transcript
    this.#show = (token, state, evidence) => {
      if (state === 'surfaced') this.#settle(token)
      show(token, state, evidence)
    }
  }

  /** Hand-overs of which something may still be seen. */
  get pending(): number {
    return this.#tokens.size
  }

  /** The door, with an eye on what becomes of its offers. */
  observe(door: Door): Door {
    let offered = ''
    return {
      name: door.name,
      get reaches() {
        return door.reaches
      },
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

  /** A hook took the mail file. */
  onMailTaken(json: string): void {
    for (const token of this.#in(json)) this.#show(token, 'handed', 'taken by a hook')
  }

  onPrompt(prompt: string): void {
    for (const token of this.#in(prompt)) this.#show(token, 'surfaced', 'UserPromptSubmit hook')
  }

  /** `/clear` and `/resume` change the transcript: evidence of what is under way may come in either. */
  switchTranscript(path: string): void {
    this.#transcript = path
    this.#tail = null
    if (this.#tokens.size === 0) return
    this.#tail = this.#follow(path)
    for (const tails of this.#tokens.values()) tails.push(this.#tail)
  }

  /** Reads what was appended since. Called on a slow beat as well: a watcher may miss something. */
  read(): void {
    for (const tail of this.#tails()) tail.read()
  }

  stop(): void {
    for (const tail of this.#tails()) tail.stop()
  }

  #in(text: string): string[] {
    return [...this.#tokens.keys()].filter((token) => text.includes(token))
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
      const interruptedAt = readInterrupt(line)
      if (interruptedAt !== null) this.#onInterrupt(interruptedAt)
    })
    tail.start()
    return tail
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
}
