/** `mesh version` and `mesh schema`: what this build is, and what it puts on the wire. */
import { version } from '../../../client/version.ts'
import type { Context } from '../../command.ts'

export async function printVersion({ out }: Context): Promise<undefined> {
  if (out.json) await out.value({ version, node: process.versions.node })
  else await out.line(`mesh ${version}`)
}

export async function schema({ out }: Context): Promise<undefined> {
  const { jsonSchemas } = await import('../../../wire/json-schema.ts')
  await out.line(JSON.stringify(jsonSchemas(), null, out.json ? undefined : 2))
}
