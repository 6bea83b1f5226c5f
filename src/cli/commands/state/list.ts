/** `mesh state list`. */
import type { Context } from '../../context.ts'
import { documentOf, entryLines } from './values.ts'

export async function run(context: Context): Promise<undefined> {
  const { out, sidecar } = context
  const { entries } = await sidecar().call('state_read', documentOf(context))
  if (out.json)
    await out.value(
      entries.map(({ key, rev, at, by, value }) => ({ key, rev, at, by, bytes: Buffer.byteLength(value) })),
    )
  else await out.line(entryLines(entries, Date.now()).join('\n'))
}
