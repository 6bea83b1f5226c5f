/** The shapes that Claude Code gives us, read leniently: hook events, the session registry, transcript lines. */
import { z } from 'zod'

const path = z.string().max(16_384)
const id = z.string().min(1).max(128)

/** A hook's input. Recorded ones are in test/fixtures/claude-code. Fields that mesh does not use are ignored. */
export const hookEvent = z.object({
  hook_event_name: z.string().max(64),
  session_id: id,
  transcript_path: path.optional(),
  cwd: path.optional(),
  /** Only inside a subagent: then the event is not the session's own. */
  agent_id: z.string().optional(),
  /** SessionStart: startup, resume, clear, compact, fork. */
  source: z.string().optional(),
  /** SessionEnd: prompt_input_exit, clear, resume, logout, other. */
  reason: z.string().optional(),
  /** UserPromptSubmit: also the text of a message from the inbox socket, without the client's wrapper. */
  prompt: z.string().optional(),
  /** Stop: subagents, shells and the like that go on. */
  background_tasks: z.array(z.unknown()).optional(),
})
export type HookEvent = z.output<typeof hookEvent>

/** `<config dir>/sessions/<pid>.json`, undocumented: every field may be missing. */
export const registryEntry = z.object({
  sessionId: z.string().optional(),
  /** Seen: idle, busy, waiting; absent in the first milliseconds. */
  status: z.string().optional(),
  statusUpdatedAt: z.number().optional(),
})
export type RegistryEntry = z.output<typeof registryEntry>

/** One line of a transcript, as far as it can show that a message was queued or read. */
export const transcriptLine = z.object({
  type: z.string(),
  operation: z.string().optional(),
  reason: z.string().optional(),
  content: z.unknown().optional(),
  message: z.object({ role: z.string().optional(), content: z.unknown() }).optional(),
  origin: z.object({ kind: z.string().optional() }).nullish(),
  attachment: z.looseObject({ type: z.string() }).nullish(),
  isSidechain: z.boolean().optional(),
})
export type TranscriptLine = z.output<typeof transcriptLine>

/** What a sidecar leaves for the one that is started again after it. */
export const clientRecord = z.object({
  process: z.object({ host: z.string(), boot: z.string(), pid: z.int(), start: z.string() }),
  conversation: z.object({
    sessionId: id,
    source: z.enum(['startup', 'resume', 'clear', 'compact', 'fork']),
    cwd: path,
  }),
  transcript: path.nullable(),
})
export type ClientRecord = z.output<typeof clientRecord>
