/** The reports of mesh's module in the client (plugin/hooks/register.js), over the socket `mod`. */
import * as z from 'zod/mini'

const TOKEN_CHARS = 64
const REASON_CHARS = 500

const id = z.string().check(z.maxLength(TOKEN_CHARS))
const reason = z.string().check(z.overwrite((text: string) => text.slice(0, REASON_CHARS)))

export const moduleEvent = z.discriminatedUnion('ev', [
  /** It has the order and passes it on. */
  z.object({ ev: z.literal('taken'), id }),
  /** The client took it; `drop`: it did not, and why. */
  z.object({ ev: z.literal('handed'), id, drop: z.optional(reason) }),
  z.object({ ev: z.literal('refused'), id, error: reason }),
  /** Tools have ended and the next request is due. */
  z.object({ ev: z.literal('batch') }),
  /** The turn is about to end: its Stop hooks come next. */
  z.object({ ev: z.literal('stop') }),
  z.object({ ev: z.literal('turn.start') }),
  z.object({ ev: z.literal('turn.complete'), reason: z.optional(reason) }),
  /** The poll is to be dismissed: it would hold the end of `claude -p`. */
  z.object({ ev: z.literal('bye') }),
])
export type ModuleEvent = z.output<typeof moduleEvent>

/** An order to the module. `submit` starts a turn; `append` goes into the running one; `mail`: ask when tools end. */
export type Order = { op: 'submit' | 'append'; id: string; text: string } | { op: 'mail' | 'none' | 'exit' }
