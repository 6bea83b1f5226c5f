/** `mesh schema`: the JSON Schema of everything on the wire. */
import { jsonSchemas } from '../../wire/json-schema.ts'
import type { Context } from '../context.ts'

export async function run({ out }: Context): Promise<undefined> {
  await out.line(JSON.stringify(jsonSchemas(), null, out.json ? undefined : 2))
}
