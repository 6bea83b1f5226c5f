/** Stores the counted rounds of one name in a file beside its mail. */
import { join } from 'node:path'
import { Budget, type BudgetStep } from '../../core/mail/budget.ts'
import { Journal } from '../../host/journal.ts'
import type { Logger } from '../../host/log.ts'

const COMPACT_BYTES = 256 * 1024

export class BudgetBook {
  readonly budget: Omit<Budget, 'apply' | 'steps'>
  readonly #budget = new Budget()
  readonly #journal: Journal<BudgetStep>
  readonly #log: Logger

  private constructor(journal: Journal<BudgetStep>, steps: readonly BudgetStep[], log: Logger) {
    this.#journal = journal
    this.#log = log
    this.budget = this.#budget
    for (const step of steps) this.#budget.apply(step)
    this.#compact()
  }

  static open(dir: string, log: Logger): BudgetBook {
    const { journal, steps } = Journal.open<BudgetStep>(join(dir, 'budget.jsonl'))
    return new BudgetBook(journal, steps, log)
  }

  /** Notes a step. On a full disk counting goes on in memory alone, so that mail is not stopped. */
  note(step: BudgetStep): void {
    this.#budget.apply(step)
    try {
      this.#journal.append([step])
      if (this.#journal.bytes > COMPACT_BYTES) this.#compact()
    } catch (error) {
      this.#log.warn({ error }, 'rounds not written')
    }
  }

  close(): void {
    this.#journal.close()
  }

  #compact(): void {
    try {
      this.#journal.rewrite(this.#budget.steps(Date.now()))
    } catch (error) {
      this.#log.warn({ error }, 'rounds not compacted')
    }
  }
}
