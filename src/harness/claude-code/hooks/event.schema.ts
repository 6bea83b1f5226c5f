/** The shapes of what Claude Code writes, read leniently: hook events, the session registry, transcript lines. */
import * as z from 'zod/mini'

const path = z.string().check(z.maxLength(16_384))
const id = z.string().check(z.minLength(1), z.maxLength(128))

/** A hook's input. Recorded ones are in test/fixtures/claude-code. Fields that mesh does not use are ignored. */
export const hookEvent = z.object({
  hook_event_name: z.string().check(z.maxLength(64)),
  session_id: id,
  transcript_path: z.optional(path),
  cwd: z.optional(path),
  /** Only inside a subagent: then the event is not the session's own. */
  agent_id: z.optional(z.string()),
  agent_type: z.optional(z.string()),
  /** SessionStart: startup, resume, clear, compact, fork. */
  source: z.optional(z.string()),
  /** SessionEnd: prompt_input_exit, clear, resume, logout, other. */
  reason: z.optional(z.string()),
  /** UserPromptSubmit: also the text of a message from the inbox socket, without the client's wrapper. */
  prompt: z.optional(z.string()),
  /** Stop: the model's last words. StopFailure: the text of the error. */
  last_assistant_message: z.optional(z.string()),
  /** StopFailure: server_error, max_output_tokens, invalid_request, unknown ... */
  error: z.optional(z.string()),
  /** PermissionRequest. */
  tool_name: z.catch(z.optional(z.string()), undefined),
  tool_input: z.catch(z.optional(z.record(z.string(), z.unknown())), undefined),
  /** Stop: subagents, shells and the like that are still running. */
  background_tasks: z.optional(z.array(z.unknown())),
})
export type HookEvent = z.output<typeof hookEvent>

/** `<config dir>/sessions/<pid>.json`, undocumented: every field may be missing. */
export const registryEntry = z.object({
  sessionId: z.optional(id.check(z.regex(/^[\w-]+$/))),
  cwd: z.optional(path),
  /** The session's title; with `nameSource` user a person gave it. */
  name: z.catch(z.optional(z.string()), undefined),
  nameSource: z.catch(z.optional(z.string()), undefined),
  /** The process space of its pid: `linux:<machine id>:pid:[4026531836]`. */
  pidDomain: z.optional(z.string()),
  /** Seen values: idle, busy, waiting, shell. Absent in the first milliseconds. */
  status: z.optional(z.string()),
  statusUpdatedAt: z.optional(z.number()),
  /** With waiting: `permission prompt` and the like. */
  waitingFor: z.optional(z.string().check(z.maxLength(1000))),
  /** The inbox socket, which may be opened after the first hooks ran. */
  messagingSocketPath: z.catch(z.optional(path), undefined),
})
export type RegistryEntry = z.output<typeof registryEntry>

/** A line of the client's history: what a person typed in which conversation. */
export const historyLine = z.object({
  display: z.string(),
  sessionId: z.string(),
  timestamp: z.number().check(z.minimum(0), z.maximum(8.64e15)),
})

/** A line of a transcript, as far as it can show that a message was queued or read. */
export const transcriptLine = z.object({
  type: z.string(),
  subtype: z.optional(z.string()),
  operation: z.optional(z.string()),
  reason: z.optional(z.string()),
  content: z.optional(z.unknown()),
  message: z.optional(z.object({ role: z.optional(z.string()), content: z.unknown() })),
  origin: z.nullish(z.object({ kind: z.optional(z.string()) })),
  attachment: z.nullish(z.looseObject({ type: z.string() })),
  isSidechain: z.optional(z.boolean()),
  timestamp: z.optional(z.string()),
  isApiErrorMessage: z.optional(z.boolean()),
})
export type TranscriptLine = z.output<typeof transcriptLine>

/** The result of a tool call that edited a file; of a failed one it is a text. */
export const editLine = z.object({
  timestamp: z.optional(z.string()),
  toolUseResult: z.union([
    z.object({ filePath: path, structuredPatch: z.array(z.unknown()) }),
    z.object({ notebook_path: path, edit_mode: z.string(), error: z.optional(z.string()) }),
  ]),
})

/** A line of a transcript with tool calls of the model. */
export const toolLine = z.object({
  type: z.string(),
  isSidechain: z.optional(z.boolean()),
  timestamp: z.iso.datetime(),
  message: z.object({
    content: z.array(
      z.nullable(
        z.object({
          type: z.string(),
          id: z.optional(z.string()),
          name: z.optional(z.string()),
          input: z.optional(z.record(z.string(), z.unknown())),
        }),
      ),
    ),
  }),
})

const tokens = z.catch(z.int().check(z.minimum(0)), 0)
const word = z.catch(z.optional(z.string()), undefined)

/** A line of a transcript, as far as it can show how a conversation or a subagent ended. */
export const endLine = z.object({
  type: z.string(),
  isSidechain: z.optional(z.boolean()),
  timestamp: word,
  message: z.optional(
    z.object({
      id: word,
      model: word,
      content: z.union([
        z.string(),
        z.array(z.nullable(z.object({ type: word, id: word, text: word, tool_use_id: word }))),
      ]),
      stop_reason: z.nullish(z.string()),
      usage: z.catch(
        z.optional(
          z.object({
            input_tokens: tokens,
            output_tokens: tokens,
            cache_creation_input_tokens: tokens,
            cache_read_input_tokens: tokens,
          }),
        ),
        undefined,
      ),
    }),
  ),
  origin: z.nullish(z.object({ kind: word })),
  isMeta: z.nullish(z.boolean()),
  isCompactSummary: z.nullish(z.boolean()),
  isApiErrorMessage: z.optional(z.boolean()),
  error: word,
  apiErrorType: word,
  apiErrorStatus: z.catch(z.optional(z.int()), undefined),
  /** cost-state, written when the client ends: what the session cost in US dollars, its subagents included. */
  totalCostUSD: z.catch(z.optional(z.number().check(z.minimum(0))), undefined),
  modelUsage: z.catch(
    z.optional(
      z.record(
        z.string(),
        z.object({
          inputTokens: tokens,
          outputTokens: tokens,
          cacheReadInputTokens: tokens,
          cacheCreationInputTokens: tokens,
        }),
      ),
    ),
    undefined,
  ),
})
export type EndLine = z.output<typeof endLine>

/** A line about the session's queue, which among others takes the client's notes on its subagents. */
export const queueLine = z.object({ type: z.literal('queue-operation'), operation: z.string(), content: z.string() })

/** `agent-<id>.meta.json` beside a subagent's transcript, undocumented: every field may be missing. */
export const agentMeta = z.object({
  agentType: word,
  description: word,
  parentAgentId: word,
  finished: z.catch(z.optional(z.boolean()), undefined),
})

/** `state.json` of a background job, undocumented. */
export const jobState = z.object({
  /** The job continues a session of a terminal. */
  interactiveLineage: z.optional(z.boolean()),
  createdAt: z.optional(z.iso.datetime()),
})

/** A sidecar's record of the client, for the sidecar that is started after it. */
export const clientRecord = z.object({
  process: z.object({ host: z.string(), boot: z.string(), pid: z.int(), start: z.string() }),
  conversation: z.object({
    sessionId: id,
    source: z.nullable(z.enum(['startup', 'resume', 'clear', 'compact', 'fork'])),
    cwd: path,
    movedAt: z.optional(z.iso.datetime()),
  }),
  transcript: z.nullable(path),
})
export type ClientRecord = z.output<typeof clientRecord>
