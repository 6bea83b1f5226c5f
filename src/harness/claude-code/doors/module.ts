/**
 * The door through mesh's module in the client (2.1.287 and later). An idle session is woken through its open poll; in a
 * running turn mail lies here, and the module asks for it when tools have ended: until then it can be taken back.
 */
import { MeshError } from '../../../errors.ts'
import type { SessionStatus } from '../../../wire/envelope.schema.ts'
import type { Door } from '../../types.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import type { ModuleEvent, Order } from './module.schema.ts'
import { ModuleSocket } from './module-socket.ts'

/** Between two polls the module is away for some milliseconds. */
const GAP_MS = 1000
/** Time for the mail to be moved to the mail file before the turn's Stop hooks. */
const MOVE_MS = 200
const MOVE_STEP_MS = 2
/** A row that no request carried by then waits for a person: a turn is started for it. */
const BELL_MS = 500
const BELL_ID = 'bell'
const BELL = 'mesh: a message for you is in this conversation and no request had it yet. It is above.'

export class ModuleDoor implements Door {
  readonly name = 'mod'
  readonly #sidecar: SidecarEvents
  readonly #socket: ModuleSocket
  readonly #status: () => SessionStatus | null
  #lying: { text: string; token: string } | null = null
  /** An order for the next poll. */
  #queued: Order | null = null
  /** The poll was answered then, so another is about to come. */
  #answeredAt = Number.NEGATIVE_INFINITY
  #gap: NodeJS.Timeout | null = null
  /** The turn makes no further request by itself. */
  #isEnding = false
  /** The client starts no turn: a person stopped the last one, or it refused. */
  #isStopped = false
  /** A row that the client took and that no request is known to have carried. */
  #row: string | null = null
  #bell: NodeJS.Timeout | null = null
  /** The sidecar was given the door so. */
  #shown = ''

  /** `status`: of the session, as the sidecar knows it. */
  constructor(
    sessionDir: string,
    sidecar: SidecarEvents,
    status: () => SessionStatus | null,
    log: (level: 'info' | 'warn', message: string, fields: object) => void,
  ) {
    this.#sidecar = sidecar
    this.#status = status
    const host = {
      polled: () => this.#polled(),
      renewed: () => this.#expectPoll(),
      heard: (event: ModuleEvent) => this.#heard(event),
    }
    this.#socket = new ModuleSocket(sessionDir, host, (message, fields) => log('warn', message, fields))
  }

  get reaches(): readonly SessionStatus[] {
    return [...(this.#isStopped ? [] : (['idle'] as const)), ...(this.#isEnding ? [] : (['busy', 'waiting'] as const))]
  }

  /** Returns false as soon as the module's poll is closed. */
  available(): boolean {
    return this.#socket.polls > 0 || performance.now() - this.#answeredAt < GAP_MS
  }

  /** Listens. Called again on a slow beat: the socket may have been removed. */
  start(): Promise<void> {
    return this.#socket.listen()
  }

  stop(): void {
    this.#socket.stop()
    for (const timer of [this.#gap, this.#bell]) if (timer) clearTimeout(timer)
  }

  async offer(text: string, token: string): Promise<void> {
    if (!this.available()) throw new MeshError('conflict', 'the module waits for nothing now')
    const isIdle = this.#status() === 'idle'
    if (!isIdle) this.#lying = { text, token }
    this.#order(isIdle ? { op: 'submit', id: token, text } : { op: 'mail' })
  }

  lies(token: string): boolean {
    return this.#lying?.token === token || (this.#queued?.op === 'submit' && this.#queued.id === token)
  }

  async withdraw(): Promise<boolean> {
    const lies = this.#lying !== null || this.#queued?.op === 'submit'
    this.#lying = null
    this.#queued = null
    return lies
  }

  /** Takes the news that a request carried the text. */
  onEvidence(token: string): void {
    if (this.#row === token) this.#row = null
  }

  #order(order: Order): void {
    this.#queued = this.#socket.order(order) ? null : order
    if (!this.#queued) this.#expectPoll()
  }

  /** A poll began, was answered or is over. */
  #polled(): void {
    if (this.#queued && this.#socket.polls > 0) this.#order(this.#queued)
    this.#changed()
  }

  #expectPoll(): void {
    this.#answeredAt = performance.now()
    if (this.#gap) clearTimeout(this.#gap)
    this.#gap = setTimeout(() => this.#changed(), GAP_MS).unref()
  }

  #changed(): void {
    const shown = this.available() ? this.reaches.join() : ''
    if (shown === this.#shown) return
    this.#shown = shown
    this.#sidecar.open?.doorsChanged?.()
  }

  async #heard(event: ModuleEvent): Promise<Order> {
    if (event.ev === 'batch') return this.#give()
    if (event.ev === 'stop') await this.#moveToHook()
    else if (event.ev === 'taken') this.#sidecar.open?.evidence(event.id, 'handed', "mesh's module has it")
    else if (event.ev === 'handed' && event.drop !== undefined) this.#onDrop(event.id, event.drop)
    else if (event.ev === 'refused') this.#onRefused(event.id, event.error)
    else if (event.ev === 'turn.start') this.#onTurn()
    else if (event.ev === 'turn.complete') this.#onTurnEnd(event.reason)
    else if (event.ev === 'bye') this.#dismiss()
    return { op: 'none' }
  }

  /** Gives what lies here to the module, which adds it to the next request. */
  #give(): Order {
    const offered = this.#lying
    if (!offered) return { op: 'none' }
    this.#lying = null
    this.#row = offered.token
    this.#sidecar.open?.evidence(offered.token, 'handed', "mesh's module has it")
    return { op: 'append', id: offered.token, text: offered.text }
  }

  /** Lets mail go by the mail file, which the Stop hook takes: the turn goes on with it. */
  async #moveToHook(): Promise<void> {
    this.#isEnding = true
    this.#changed()
    const until = performance.now() + MOVE_MS
    while (this.#lying && performance.now() < until) await new Promise((done) => setTimeout(done, MOVE_STEP_MS))
    await new Promise((done) => setTimeout(done, MOVE_STEP_MS))
  }

  /** A person pressed Esc: they have the floor, as the client sees it, too. */
  #onDrop(token: string, why: string): void {
    this.#isStopped = true
    this.#row = null
    this.#sidecar.open?.interrupted(true)
    this.#sidecar.open?.evidence(token, 'dropped', `the client did not start a turn: ${why}`)
  }

  #onRefused(token: string, error: string): void {
    this.#isStopped = true
    this.#isEnding = true
    this.#row = null
    this.#sidecar.open?.evidence(token, 'dropped', `the client refused it: ${error}`)
  }

  #onTurn(): void {
    this.#isStopped = false
    this.#isEnding = false
    this.#changed()
  }

  #onTurnEnd(reason: string | undefined): void {
    this.#isEnding = false
    this.#changed()
    const row = this.#row
    if (row === null || reason === 'aborted') return
    this.#bell = setTimeout(() => {
      if (this.#row === row) this.#order({ op: 'submit', id: BELL_ID, text: BELL })
    }, BELL_MS).unref()
  }

  #dismiss(): void {
    for (let left = this.#socket.polls; left > 0; left--) this.#socket.order({ op: 'exit' })
    this.#answeredAt = Number.NEGATIVE_INFINITY
    this.#isEnding = false
    this.#changed()
  }
}
