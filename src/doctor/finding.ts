/** What a check found: one line about it, and the one command that mends it. */

export interface Finding {
  /** `subject.aspect`, the same word each time. */
  check: string
  ok: boolean
  /** One line: what is, or the cause of the fault. */
  detail: string
  /** What to type; null where nothing is to be mended. */
  fix: string | null
  /** Does what `fix` would; resolves to what it did. Absent where only a person may decide. */
  mend?: () => Promise<string>
}

export function good(check: string, detail: string): Finding {
  return { check, ok: true, detail, fix: null }
}

/** A fault. With `mend`, `mesh doctor --fix` mends it. */
export function fault(check: string, detail: string, fix: string, mend?: () => Promise<string>): Finding {
  return { check, ok: false, detail, fix, ...(mend ? { mend } : {}) }
}

/** One word of a shell, quoted only where it must be. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
