/** `mesh state get`. */
import type { Context } from '../../context.ts'
import { parseCount } from '../../input/units.ts'
import { checkKey, documentOf, printable, valueAsJson } from './values.ts'

export async function run(context: Context): Promise<undefined> {
  const { args, flags, out, sidecar } = context
  const rev = flags.rev === undefined ? {} : { rev: parseCount(flags.rev, '--rev', 0, 999_999_999) }
  const { entries } = await sidecar().call('state_read', { key: checkKey(args[0]!), ...documentOf(context), ...rev })
  const { value } = entries[0]!
  if (out.json) await out.value(valueAsJson(value))
  else await out.line(printable(value))
}
