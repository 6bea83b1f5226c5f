/** `mesh state export`: the whole document as JSON. */
import type { Context } from '../../context.ts'
import { documentOf } from './values.ts'

export async function run(context: Context): Promise<undefined> {
  const { out, sidecar } = context
  const document = await sidecar().call('state_read', documentOf(context))
  if (out.json) await out.value(document)
  else await out.line(JSON.stringify(document, null, 2))
}
