/** The record that a sidecar keeps beside its socket (`sidecar.json`), for commands, witnesses and its successor. Pure. */
import * as z from 'zod/mini'
import { processIdentity, reasonCode } from '../wire/envelope.schema.ts'
import { isName, isRunId } from '../wire/names.ts'
import { isProject } from '../wire/subjects.ts'

export const sidecarRecord = z.object({
  /** The sidecar's own process. */
  sidecar: processIdentity,
  pid: z.int(),
  name: z.string().check(z.refine(isName)),
  epoch: z.int(),
  project: z.string().check(z.refine(isProject)),
  harness: z.string(),
  sessionId: z.string(),
  /** The process that is the session. */
  process: processIdentity,
  /** The run that it is. */
  run: z.optional(z.string().check(z.refine(isRunId))),
  version: z.string(),
  /** The file that the sidecar was started from. */
  program: z.optional(z.string()),
  startedAt: z.string(),
  /** Set once the session ended and the sidecar was about to publish it. */
  ended: z.optional(z.object({ reason: z.string(), reasonCode: z.optional(reasonCode), at: z.string() })),
})
export type SidecarRecord = z.output<typeof sidecarRecord>
