/** The record of an object that the engine's client writes (ADR-20), as far as mesh reads it. Pure. */
import * as z from 'zod/mini'

export const objectInfo = z.object({
  name: z.string().check(z.maxLength(128)),
  nuid: z.string().check(z.regex(/^[A-Za-z0-9]{1,64}$/)),
})
