/** `mesh state set`. */
import { newOperation } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { parseCount } from '../../input/units.ts'
import { checkKey, documentOf, readKept } from './values.ts'

export async function run(context: Context): Promise<undefined> {
  const { args, flags, out, sidecar } = context
  const key = checkKey(args[0]!)
  const value = await readKept(context, args[1])
  const ifRev = flags.ifRev === undefined ? {} : { ifRev: parseCount(flags.ifRev, '--if-rev', 0, 999_999_999) }
  const request = { op: newOperation(), do: 'set', key, value, ...documentOf(context), ...ifRev } as const
  const changed = await sidecar().call('state_change', request)
  if (out.json) await out.value(changed)
  else await out.line(`${key} set, revision ${changed.rev}`)
}
