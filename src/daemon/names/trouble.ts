/** Notifies the people of what happens to a session of theirs. One that another session started has an owner who hears of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../../errors.ts'
import type { TurnEnd } from '../../harness/types.ts'
import { runDir } from '../../host/home.ts'
import { readStop } from '../../run/dir.ts'
import { failedWords } from '../../wire/cause.ts'
import type { SessionEnd } from '../../wire/session-end.ts'
import type { Session } from '../session.ts'
import { notifyPeople } from './people.ts'

/** A session that was started for one prompt ends right after a turn that failed, and its caller sees that. */
const FAILED_MS = 2000
/** Limits how long an end waits for its news. */
const ENDED_MS = 100

interface PeoplesSession extends Session {
  readonly isEnding: boolean
}

export class Trouble {
  readonly #session: PeoplesSession
  /** The last turn failed, and the people were notified. */
  #hasFailed = false

  constructor(session: PeoplesSession) {
    this.#session = session
  }

  /** Notifies of the first of several turns that fail. */
  turnEnded({ error }: TurnEnd): void {
    const wasFailing = this.#hasFailed
    this.#hasFailed = error !== null
    if (!error || wasFailing) return
    const text = (name: string) =>
      `The turn of "${name}" ${failedWords(error)}. It is at its prompt and does not go on by itself.`
    setTimeout(() => void this.#notify(text), FAILED_MS).unref()
  }

  /** Notifies of an end that nobody in the session asked for. */
  async ended({ code, reason }: SessionEnd): Promise<void> {
    const { run, home, harness } = this.#session
    const isForced = code === 'killed' || code === 'daemon'
    if (!isForced || (run && readStop(runDir(home, run.id)))) return
    const { pid } = harness.process
    const { cwd } = harness.conversation
    const text = (name: string) =>
      `The session "${name}" has ended: ${reason} (process ${pid} in ${cwd}). Its mail waits.`
    await Promise.race([this.#notify(text), sleep(ENDED_MS)])
  }

  async #notify(text: (name: string) => string): Promise<void> {
    const { run, isNamed, isEnding, link, log } = this.#session
    const isPeoples = run !== null && run.lineage.length === 0 && !run.isSupervised
    if (!isPeoples || !isNamed || isEnding || !link.up) return
    try {
      await notifyPeople(this.#session, text(this.#session.record.name))
    } catch (error) {
      log.warn({ error: MeshError.from(error).toBody() }, 'the people were not notified')
    }
  }
}
