/** A text of mesh's own, not a message: the next UserPromptSubmit hook gives it to the model. */
import { rmSync } from 'node:fs'
import { writeAtomic } from '../../../host/files.ts'
import { LEFT_FILE } from '../hooks/files.ts'
import { CONTEXT_CHARS, MailFile } from './mail-file.ts'

/** Leaves the text; null takes it back. `instead`: only in place of one that no hook has taken. Throws if the disk refuses. */
export function leaveText(sessionDir: string, text: string | null, instead: boolean): void {
  const file = new MailFile(sessionDir, LEFT_FILE)
  if (instead && !file.takeBack()) return
  if (text === null) rmSync(file.path, { force: true })
  else writeAtomic(file.path, JSON.stringify(text.slice(0, CONTEXT_CHARS)))
}
