/** The wire as JSON Schema, for `mesh schema` and readers in other languages. Derived, never written by hand. Pure. */
import * as z from 'zod/mini'
import { wireKinds } from './kinds.ts'

/**
 * Returns a JSON Schema (draft 2020-12) per kind on the wire. They describe what a reader accepts (`io: 'input'`): the
 * output form would forbid unknown fields and make every new field a break. What a schema cannot say, the codec
 * checks: that subject and envelope agree, and the signature.
 */
export function jsonSchemas(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(wireKinds).map(([kind, schema]) => {
      const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' })
      return [kind, { $schema, $id: `urn:mesh:wire:v1:${kind}`, ...rest }]
    }),
  )
}
