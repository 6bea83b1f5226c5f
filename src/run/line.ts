/** Sends the reports of a supervised session's sidecar to its supervisor: in order, each until it is answered. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunAnswer, SessionReport } from '../api/supervisor.schema.ts'
import { type Home, runDir } from '../host/home.ts'
import { askLine } from '../host/line.ts'
import { lockOwner } from '../host/lock.ts'
import type { Logger } from '../host/log.ts'
import { files } from './dir.ts'

const ANSWER_MS = 5000
const RETRY_MS = 500
/** A supervisor that is asleep for this many turns learns of the latest. */
const WAITING = 64

export class SupervisorLine {
  readonly #dir: string
  readonly #log: Logger
  #words: SessionReport[] = []
  #running: Promise<void> | null = null

  constructor(home: Home, run: string, log: Logger) {
    this.#dir = runDir(home, run)
    this.#log = log
  }

  send(word: SessionReport): void {
    this.#words = [...this.#words, word].slice(-WAITING)
    this.#running ??= this.#pump().finally(() => {
      this.#running = null
    })
  }

  /** Waits until everything is sent, at most for `ms`. */
  async settle(ms: number): Promise<void> {
    await Promise.race([this.#running, sleep(ms, undefined, { ref: false })])
  }

  async #pump(): Promise<void> {
    for (let word = this.#words[0]; word; word = this.#words[0]) {
      if (await this.#say(word)) this.#words = this.#words.filter((one) => one !== word)
      // The supervisor is gone, and with it the use of the report.
      else if (lockOwner(files.lock(this.#dir)) === null) this.#words = []
      else await sleep(RETRY_MS, undefined, { ref: false })
    }
  }

  async #say(word: SessionReport): Promise<boolean> {
    try {
      const line = await askLine(files.socket(this.#dir), JSON.stringify(word), ANSWER_MS)
      if (line === null) return false
      const answer = JSON.parse(line) as RunAnswer
      if ('error' in answer)
        this.#log.warn({ error: answer.error, state: word.state }, 'the supervisor did not take it')
      return true
    } catch (error) {
      this.#log.debug({ error }, 'the supervisor does not answer')
      return false
    }
  }
}
