/** `mesh schema`: the JSON Schema of everything on the wire. */
import type { Context } from '../../context.ts'

export async function run({ out }: Context): Promise<undefined> {
  const { jsonSchemas } = await import('../../../wire/json-schema.ts')
  await out.line(JSON.stringify(jsonSchemas(), null, out.json ? undefined : 2))
}
