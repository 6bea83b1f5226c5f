/** `mesh state history`. */
import type { Context } from '../../context.ts'
import { columns, oneLine } from '../../input/units.ts'
import { documentOf } from './values.ts'

export async function run(context: Context): Promise<undefined> {
  const { out, sidecar } = context
  const history = await sidecar().call('state_history', documentOf(context))
  if (out.json) {
    await out.value(history)
    return
  }
  const rows = history.map(({ rev, at, by, what, key }) => [String(rev), at, by, what, key ?? ''].map(oneLine))
  await out.line(columns([['REV', 'AT', 'BY', 'WHAT', 'KEY'], ...rows]).join('\n'))
}
