/** `mesh version`. */
import { version } from '../../../client/version.ts'
import type { Context } from '../../context.ts'

export async function run({ out }: Context): Promise<undefined> {
  if (out.json) await out.value({ version, node: process.versions.node })
  else await out.line(`mesh ${version}`)
}
