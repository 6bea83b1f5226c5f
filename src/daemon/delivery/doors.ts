/** Tracks which doors of a session are open, which were given up on for a while, and which have proven themselves. */
import { backoff, type DoorView } from '../../core/mail/handover.ts'
import { MeshError } from '../../errors.ts'
import type { Door } from '../../harness/types.ts'
import type { Logger } from '../../host/log.ts'
import type { DoorState, SessionStatus } from '../../wire/envelope.schema.ts'
import { times } from '../../wire/limits.ts'

export class DoorBook {
  readonly #doors: readonly Door[]
  readonly #log: Logger
  readonly #provenAt = new Map<string, string>()
  /** Doors given up on for a while. */
  readonly #shut = new Map<string, { failures: number; until: number }>()

  constructor(doors: readonly Door[], log: Logger) {
    this.#doors = doors
    this.#log = log
  }

  get isEmpty(): boolean {
    return this.#doors.length === 0
  }

  has(name: string): boolean {
    return this.#doors.some((door) => door.name === name)
  }

  get(name: string): Door {
    return this.#doors.find((door) => door.name === name)!
  }

  views(): DoorView[] {
    return this.#doors.map((door) => ({ name: door.name, reaches: door.reaches, available: this.#isOpen(door) }))
  }

  /** Returns the open doors, the one that mail would go through now first, with `more` before them. */
  states(status: SessionStatus, more: readonly string[]): DoorState[] {
    const open = this.#doors.filter((door) => this.#isOpen(door))
    const reaching = open.filter(({ reaches }) => reaches.includes(status))
    const others = open.filter((door) => !reaching.includes(door))
    return [...more, ...[...reaching, ...others].map(({ name }) => name)].map((name) => {
      const provenAt = this.#provenAt.get(name)
      return provenAt ? { name, state: 'proven', provenAt } : { name, state: 'available' }
    })
  }

  /** Names of the doors that are given up on for now. */
  get shut(): string[] {
    return this.#doors.filter((door) => !this.#isOpen(door)).map(({ name }) => name)
  }

  #isOpen(door: Door): boolean {
    return Date.now() >= (this.#shut.get(door.name)?.until ?? 0) && door.available()
  }

  /** Notes that a message that went through this door was read. */
  prove(name: string): void {
    this.#provenAt.set(name, new Date().toISOString())
    this.#shut.delete(name)
  }

  /** Shuts a door after an offer through it failed; the wait before the next try grows. */
  fail(name: string, error: unknown): void {
    // What was true before the failure says nothing about now.
    this.#provenAt.delete(name)
    const failures = (this.#shut.get(name)?.failures ?? 0) + 1
    this.#shut.set(name, { failures, until: Date.now() + backoff(failures) })
    this.#log.warn({ door: name, error: MeshError.from(error).toBody(), failures }, 'hand-over failed')
  }

  /** Shuts a door that a person or a setting keeps shut, for long or until something comes through it. */
  refuse(name: string, why: string): void {
    this.#provenAt.delete(name)
    this.#shut.set(name, { failures: 1, until: Date.now() + times.screenedShut })
    this.#log.warn({ door: name, why }, 'hand-over refused')
  }
}
