/** The operations on coordination state. Pure. */
import * as z from 'zod/mini'
import { limits } from '../wire/limits.ts'
import { operationId } from '../wire/task.schema.ts'

const time = z.string()
/** Its grammar is checked by the rules, which say what is wrong with it. */
const key = z.string().check(z.maxLength(limits.stateBytes))
const shared = z.optional(
  z.string().check(z.maxLength(4096), z.describe('a document that all sessions share, by its name; default: your own')),
)
const revision = z.int().check(z.minimum(0))

const entry = z.object({ key: z.string(), value: z.string(), rev: z.int(), at: time, by: z.string() })
const note = z.object({ at: time, by: z.string(), text: z.string() })

const obligation = z.object({
  /** owed, ask, wait, task, run, child, claim, parent, said. */
  kind: z.string(),
  /** Id of the message, run or task that it is about. */
  id: z.nullable(z.string()),
  /** The other session that it concerns. */
  with: z.nullable(z.string()),
  /** Its state: open, interrupted, running, claimed … */
  state: z.string(),
  text: z.string(),
  /** Words that may be a peer's. */
  quote: z.nullable(z.string()),
  since: z.nullable(time),
})

const reads = { effect: 'reads', words: true } as const
const changes = { effect: 'changes', made: 'op', words: true } as const

export const stateOps = {
  state_change: {
    about:
      'Keep something that has to survive compaction: set a key to a text, rm a key, or add a note. ifRev: only if the key is still at that revision (0: not there).',
    tool: changes,
    isLarge: true,
    request: z.object({
      op: operationId,
      do: z.enum(['set', 'rm', 'note']),
      /** set, rm. */
      key: z.optional(key),
      /** set. */
      value: z.optional(z.string()),
      /** note. */
      text: z.optional(z.string()),
      shared,
      ifRev: z.optional(revision),
    }),
    response: z.object({ rev: z.int(), key: z.nullable(z.string()), shared: z.nullable(z.string()) }),
  },
  state_read: {
    about: 'The keys and notes that were kept, or one key. rev: as they were in that revision.',
    tool: reads,
    request: z.object({ key: z.optional(key), shared, rev: z.optional(revision) }),
    response: z.object({ rev: z.int(), entries: z.array(entry), notes: z.array(note) }),
  },
  state_history: {
    about: 'The last changes of the kept state.',
    tool: reads,
    request: z.object({ shared }),
    response: z.array(
      z.object({ rev: z.int(), at: time, by: z.string(), what: z.string(), key: z.nullable(z.string()) }),
    ),
  },
  handoff: {
    about:
      'Give what you coordinate to another session: your kept state, the tasks and files you hold, and your unread mail. You keep your name.',
    tool: changes,
    request: z.object({ op: operationId, to: z.string().check(z.maxLength(4096)) }),
    response: z.object({
      to: z.string(),
      /** taken: the other session has all of it; committed: it is its own, and it takes it when its sidecar is there. */
      state: z.enum(['taken', 'committed']),
      keys: z.int(),
      tasks: z.int(),
      claims: z.int(),
      messages: z.int(),
      /** Unread messages that did not fit: they stay with the giver, who can hand over again. 0.1.0 does not say. */
      stays: z.optional(z.int()),
    }),
  },
  state_show: {
    about:
      'All that you coordinate: what you kept, and what mesh keeps of open asks, waits, answers owed, runs, tasks.',
    tool: reads,
    request: z.object({}),
    response: z.object({ entries: z.array(entry), notes: z.array(note), obligations: z.array(obligation) }),
  },
} as const

export type ShownState = z.output<(typeof stateOps)['state_read']['response']>
