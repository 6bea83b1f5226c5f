/** `mesh state show`: what the session coordinates, as it reads it itself after a compaction, but all of it. */
import type { Context } from '../../command.ts'
import { oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'
import { type ViewFlags, viewOf } from '../../show/view.ts'
import { fit } from '../../show/width.ts'
import { entryLines, noteLines } from './values.ts'

export async function run({ flags, out, sidecar }: Context<ViewFlags>): Promise<undefined> {
  const state = await sidecar().call('state_show', {})
  if (out.json) {
    await out.value(state)
    return
  }
  const { entries, notes, obligations } = state
  const view = viewOf(flags, Date.now())
  const duties = obligations.map(({ kind, id, text, quote, state, since }) => {
    const about = [id?.slice(0, 12), text, state === 'interrupted' && '(interrupted)', quote && `"${quote}"`]
    const line = `${kind}: ${about.filter(Boolean).join(' ')}${since ? ` (${ago(since, view.now)} ago)` : ''}`
    return fit(oneLine(line), view.lineWidth)
  })
  const lines = [
    ...duties,
    ...(entries.length > 0 ? ['', ...entryLines(entries, view)] : []),
    ...(notes.length > 0 ? ['', ...noteLines(notes, view)] : []),
  ]
  await out.line(lines.join('\n').replace(/^\n/, '') || 'nothing is kept, and nothing is open')
}
