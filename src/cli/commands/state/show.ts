/** `mesh state show`: what the session coordinates, as it reads it itself after a compaction, but all of it. */
import type { Context } from '../../command.ts'
import { ago, oneLine } from '../../input/units.ts'
import { entryLines, noteLines } from './values.ts'

export async function run({ out, sidecar }: Context): Promise<undefined> {
  const state = await sidecar().call('state_show', {})
  if (out.json) {
    await out.value(state)
    return
  }
  const { entries, notes, obligations } = state
  const now = Date.now()
  const duties = obligations.map(({ kind, id, text, quote, state, since }) => {
    const about = [id?.slice(0, 12), text, state === 'interrupted' && '(interrupted)', quote && `"${quote}"`]
    return oneLine(`${kind}: ${about.filter(Boolean).join(' ')}${since ? ` (${ago(since, now)} ago)` : ''}`)
  })
  const lines = [
    ...duties,
    ...(entries.length > 0 ? ['', ...entryLines(entries, now)] : []),
    ...(notes.length > 0 ? ['', ...noteLines(notes, now)] : []),
  ]
  await out.line(lines.join('\n').replace(/^\n/, '') || 'nothing is kept, and nothing is open')
}
