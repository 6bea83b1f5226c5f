/** A client that does what the test says, and the process that it is. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Offer } from '../../../src/core/mail/inbox.ts'
import type { Conversation, Door, Harness, HarnessEvents, Recalled, Voice } from '../../../src/harness/types.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import type { ProcessIdentity, SessionStatus } from '../../../src/wire/envelope.schema.ts'

/** A process that is nothing but a session's identity. It ends with this process at the latest. */
export class SessionProcess {
  readonly identity: ProcessIdentity
  readonly #child: ChildProcess

  constructor() {
    this.#child = spawn('cat', [], { stdio: ['pipe', 'ignore', 'ignore'] })
    this.identity = identifyProcess(this.#child.pid!)!
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  close(): Promise<void> {
    return this.kill()
  }
}

const EARLY_MS = 50

/** A client that does what the test says. */
export class FakeHarness implements Harness {
  readonly kind = 'test'
  readonly process: ProcessIdentity
  readonly conversation: Conversation
  readonly doors: readonly Door[]
  events!: HarnessEvents
  title?: () => string | null
  voice?: () => Voice
  /** What the model read at its start. */
  startText = ''

  readonly #first: Conversation

  constructor(identity: ProcessIdentity, conversation: Conversation, doors: readonly Door[], early: boolean) {
    this.process = identity
    this.conversation = early ? { ...conversation, source: null } : conversation
    this.#first = conversation
    this.doors = doors
  }

  async start(events: HarnessEvents): Promise<void> {
    this.events = events
    events.status('idle')
    if (this.conversation === this.#first) await this.begins(this.#first)
    else setTimeout(() => void this.begins(this.#first), EARLY_MS)
  }

  /** A conversation begins in this process. */
  async begins(conversation: Conversation): Promise<void> {
    this.startText = await this.events.conversation(conversation)
  }

  /** What a client shows of an earlier sidecar's hand-overs. */
  recall(offers: readonly Offer[]): Recalled[] {
    return offers.map(() => this.recalled)
  }

  recalled: Recalled = { state: 'lost', evidence: '' }

  async stop(): Promise<void> {}
}

/** A door that keeps what is offered. */
export class FakeDoor implements Door {
  readonly name = 'inbox-socket'
  readonly reaches: readonly SessionStatus[] = ['idle']
  readonly offers: { text: string; token: string }[] = []

  available(): boolean {
    return true
  }

  async offer(text: string, token: string): Promise<void> {
    this.offers.push({ text, token })
  }

  lies(): boolean {
    return false
  }

  async withdraw(): Promise<boolean> {
    return false
  }
}
