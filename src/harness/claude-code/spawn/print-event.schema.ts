/**
 * The client's output for programs: `claude -p --output-format stream-json`, `claude agents --json` (2.1.329). Read
 * leniently.
 */
import * as z from 'zod/mini'

const count = z.catch(z.int().check(z.minimum(0)), 0)

const block = z.looseObject({ type: z.string() })

export const printEvent = z.object({
  type: z.string(),
  subtype: z.optional(z.string()),
  /** With `init`: where the conversation began, and its id. */
  cwd: z.optional(z.string()),
  session_id: z.optional(z.string()),
  /** Set for the words of a subagent. */
  parent_tool_use_id: z.nullish(z.string()),
  message: z.optional(z.object({ content: z.union([z.string(), z.array(block)]) })),
})
export type PrintEvent = z.output<typeof printEvent>

/** The last line. */
export const printResult = z.object({
  type: z.literal('result'),
  /** `success`, also when the API refused; `error_max_turns`, `error_during_execution` and the like. */
  subtype: z.string(),
  is_error: z.catch(z.boolean(), false),
  /** The final message; with `is_error` the error's text. */
  result: z.optional(z.string()),
  stop_reason: z.nullish(z.string()),
  /** `completed`, `api_error` … */
  terminal_reason: z.nullish(z.string()),
  api_error_status: z.nullish(z.number()),
  /** Calls that needed a permission and were refused. */
  permission_denials: z.catch(z.array(z.looseObject({ tool_name: z.string() })), []),
  total_cost_usd: z.optional(z.number().check(z.minimum(0))),
  usage: z.optional(
    z.object({
      input_tokens: count,
      cache_creation_input_tokens: count,
      cache_read_input_tokens: count,
      output_tokens: count,
    }),
  ),
})
export type PrintResult = z.output<typeof printResult>

/** `claude agents --json`, documented for scripts: a background session has an id, and a pid while it runs. */
export const listedAgents = z.array(
  z.looseObject({ id: z.optional(z.string()), pid: z.optional(z.int().check(z.minimum(2))) }),
)
