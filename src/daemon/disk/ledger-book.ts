/** Stores the ledger of a name, its open questions and answers, in a file beside its mail. */
import { join } from 'node:path'
import { Ledger, type LedgerStep } from '../../core/state/ledger.ts'
import { Journal } from '../../host/journal.ts'
import type { Logger } from '../../host/log.ts'
import { times } from '../../wire/limits.ts'

const COMPACT_BYTES = 256 * 1024

export class LedgerBook {
  readonly ledger: Omit<Ledger, 'apply' | 'steps' | 'restart' | 'forget'>
  readonly #ledger = new Ledger()
  readonly #journal: Journal<LedgerStep>
  readonly #log: Logger

  private constructor(journal: Journal<LedgerStep>, steps: readonly LedgerStep[], log: Logger) {
    this.#journal = journal
    this.#log = log
    this.ledger = this.#ledger
    for (const step of steps) this.#ledger.apply(step)
    this.#ledger.restart()
    this.#compact()
  }

  static open(dir: string, log: Logger): LedgerBook {
    const { journal, steps } = Journal.open<LedgerStep>(join(dir, 'ledger.jsonl'))
    return new LedgerBook(journal, steps, log)
  }

  /** Notes a step. On a full disk the ledger goes on in memory alone. */
  note(step: LedgerStep): void {
    if (!this.#ledger.matters(step)) return
    this.#ledger.apply(step)
    try {
      this.#journal.append([step])
      if (this.#journal.bytes > COMPACT_BYTES) this.#compact()
    } catch (error) {
      this.#log.warn({ error }, 'ledger not written')
    }
  }

  close(): void {
    this.#journal.close()
  }

  #compact(): void {
    this.#ledger.forget(Date.now(), { asks: times.askAge, owed: times.askAge, waits: times.waitAge })
    try {
      this.#journal.rewrite(this.#ledger.steps())
    } catch (error) {
      this.#log.warn({ error }, 'ledger not compacted')
    }
  }
}
