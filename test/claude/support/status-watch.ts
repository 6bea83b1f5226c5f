/** What the client says of its status, and when `mesh ps` says the same: seen side by side, every few milliseconds. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { call } from '../../../src/client/client.ts'
import { meshHome, socketPath } from '../../../src/host/home.ts'
import { eventually } from './eventually.ts'
import type { Life } from './life.ts'
import type { Suite } from './suite.ts'

const STEP_MS = 5

interface Change {
  status: string
  at: number
}

export class StatusWatch {
  /** The client's own changes, by its own times. */
  readonly client: Change[] = []
  /** When ps was first seen to tell each of its own. */
  readonly mesh: Change[] = []
  readonly #life: Life
  readonly #pid: number
  readonly #socket: string
  #cause: Record<string, string> | null = null
  /** How many of the client's changes were waited for. */
  #seen = 0
  #stopped = false
  #done: Promise<void>

  constructor(suite: Suite, life: Life, pid: number) {
    this.#life = life
    this.#pid = pid
    const { run } = meshHome({ MESH_HOME: suite.lab.meshHome })
    // Where no person has come yet, the session itself tells.
    const key = readdirSync(run).find((name) => name.startsWith('op-')) ?? `cc-${pid}`
    this.#socket = socketPath(join(run, key))
    this.#done = this.#watch()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  /** What ps told since its `from`th change. */
  since(from: number): string[] {
    return this.mesh.slice(from).map(({ status }) => status)
  }

  /** Waits for the client's next change to `status`, and until ps tells it. Returns how long after the client, ms; negative: before. */
  async reaches(status: string): Promise<number> {
    const said = await eventually(
      () => `the client says ${status}, but: ${JSON.stringify(this.client.slice(this.#seen))}`,
      () => this.client.slice(this.#seen).find((change) => change.status === status),
    )
    this.#seen = this.client.indexOf(said) + 1
    const told = await eventually(
      () => `ps says ${status} after ${said.at}, but: ${JSON.stringify(this.mesh.slice(-4))}`,
      () => this.#told(said),
    )
    return told.at - said.at
  }

  /** Waits until ps tells this of the cause of the session's state. */
  async causes(expected: Record<string, string>): Promise<void> {
    await eventually(
      () => `ps tells the cause ${JSON.stringify(expected)}, not ${JSON.stringify(this.#cause)}`,
      () => Object.entries(expected).every(([key, value]) => this.#cause?.[key]?.includes(value)),
    )
  }

  /** A hook may tell before the client writes its registry. */
  #told({ status, at }: Change): Change | undefined {
    const before = this.mesh.findLast((change) => change.at <= at)
    if (before?.status === status) return before
    return this.mesh.find((change) => change.at > at && change.status === status)
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      this.#look()
      const sessions = await call(this.#socket, 'ps', {})
      const found = sessions.find(({ pid, status }) => pid === this.#pid && status !== 'gone')
      const status = found?.status ?? 'gone'
      this.#cause = found?.cause ?? null
      if (status !== this.mesh.at(-1)?.status) this.mesh.push({ status, at: Date.now() })
      await new Promise((resolve) => setTimeout(resolve, STEP_MS))
    }
  }

  #look(): void {
    try {
      const { status, statusUpdatedAt } = this.#life.registry(this.#pid)
      if (status && status !== this.client.at(-1)?.status) this.client.push({ status, at: statusUpdatedAt })
    } catch {
      // not there, or half written
    }
  }
}
