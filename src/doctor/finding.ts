/** The finding of a check: a line about it, and the command that mends it. */

export interface Finding {
  /** `subject.aspect`, the same word each time. */
  check: string
  ok: boolean
  /** A line: the good state, or the cause of the fault. */
  detail: string
  /** The command to type; null where nothing is to be mended. */
  fix: string | null
  /** Does what `fix` would; resolves to what it did. Absent where only a person may decide. */
  mend?: () => Promise<string>
  /** Well as it is, and there is something that one may want to do. */
  isOffer?: true
}

export function good(check: string, detail: string): Finding {
  return { check, ok: true, detail, fix: null }
}

export function offer(check: string, detail: string): Finding {
  return { ...good(check, detail), isOffer: true }
}

/** A fault. With `mend`, `mesh doctor --fix` mends it. */
export function fault(check: string, detail: string, fix: string, mend?: () => Promise<string>): Finding {
  return { check, ok: false, detail, fix, ...(mend ? { mend } : {}) }
}

/** Quotes a word for a shell, only where it must be. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
