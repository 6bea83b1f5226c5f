/** The MCP tools: one per operation of the table that has a mark for it. Pure. */
import * as z from 'zod/mini'
import { type Op, ops, type ToolMark } from '../api/ops.schema.ts'

export interface Tool {
  op: Op
  mark: ToolMark
  /** The answer is a list, which a tool's structured result must not be: it is wrapped. */
  isList: boolean
}

/** Lists are wrapped under this key. */
export const LIST = 'list'

const titles: Record<ToolMark['effect'], { readOnlyHint: boolean; destructiveHint: boolean }> = {
  reads: { readOnlyHint: true, destructiveHint: false },
  changes: { readOnlyHint: false, destructiveHint: false },
  removes: { readOnlyHint: false, destructiveHint: true },
}

export const tools: ReadonlyMap<string, Tool> = new Map(
  Object.entries(ops).flatMap(([op, { tool, response }]) => {
    if (!tool) return []
    return [[`mesh_${op}`, { op: op as Op, mark: tool, isList: response instanceof z.ZodMiniArray }]]
  }),
)

/** Every tool as `tools/list` gives it. */
export function describeTools() {
  return [...tools].map(([name, tool]) => {
    const { about, response } = ops[tool.op]
    return {
      name,
      description: forTools(about),
      inputSchema: requestSchema(tool),
      // What peers wrote must not reach a model as data: such tools answer with rendered text.
      ...(tool.mark.messages || tool.mark.words
        ? {}
        : { outputSchema: schemaOf(tool.isList ? wrapped(response) : response) }),
      annotations: { ...titles[tool.mark.effect], openWorldHint: false },
    }
  })
}

/** Commands whose tool has another name. */
const OF_RUNS: Readonly<Record<string, string>> = {
  'mesh ps --runs': 'mesh_runs',
  'mesh tree': 'mesh_runs',
  'mesh events': 'mesh_run_events',
  'mesh stop': 'mesh_run_stop',
}

/** Hints and descriptions name commands; a model that has tools calls those. */
export function forTools(text: string): string {
  const named = text.replace(/\bmesh (ps --runs|tree|events|stop)\b/g, (command) => OF_RUNS[command]!)
  return named.replace(/\bmesh ((?:topic |role |task |state )?[a-z]+)/g, (command, words: string) => {
    const name = `mesh_${words.replace(' ', '_')}`
    return tools.has(name) ? name : command
  })
}

function requestSchema({ op, mark }: Tool) {
  const request = ops[op].request as z.ZodMiniObject
  return schemaOf(mark.made ? z.omit(request, { [mark.made]: true }) : request)
}

function wrapped(response: z.core.$ZodType) {
  return z.object({ [LIST]: response })
}

/** Bounds are the sidecar's to check; a model would pay for reading them. */
const BOUNDS = ['minLength', 'maxLength', 'maxItems', 'minimum', 'maximum', 'pattern', 'format'] as const

function schemaOf(schema: z.core.$ZodType) {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      for (const bound of BOUNDS) delete jsonSchema[bound]
    },
  })
  return json as { type: 'object'; [key: string]: unknown }
}
