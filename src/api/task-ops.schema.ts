/** The operations of the task board. Pure. */
import * as z from 'zod/mini'
import { limits } from '../wire/limits.ts'
import {
  assignee,
  newTaskTitle,
  operationId,
  taskLabel,
  taskPriority,
  taskReason,
  taskText,
} from '../wire/task.schema.ts'
import { awaitedTask, blockedByTask } from './op.ts'

const time = z.string()
/** A full id, or a beginning that only one task has. */
const taskKey = z.string().check(z.maxLength(64))
const many = <T extends z.ZodMiniType>(item: T) => z.array(item).check(z.maxLength(limits.taskLinks))

const shownState = z.enum(['open', 'blocked', 'claimed', 'done', 'failed', 'cancelled'])

const row = {
  id: z.string(),
  rev: z.int(),
  title: z.string(),
  state: shownState,
  /** The holder of its lease. */
  owner: z.nullable(z.string()),
  /** The session or role that it is for. */
  for: z.nullable(z.string()),
  after: z.array(z.string()),
  priority: z.int(),
  labels: z.array(z.string()),
  /** Ids of tasks that are not done, and words: all that it waits for. */
  waitsFor: z.array(z.string()),
  changedAt: time,
}

const detail = z.object({
  ...row,
  body: z.nullable(z.string()),
  links: z.array(z.string()),
  result: z.nullable(z.string()),
  /** The fence of the last claim. */
  fence: z.int(),
  claim: z.nullable(
    z.object({
      holder: z.string(),
      since: time,
      fence: z.int(),
      deadline: z.nullable(time),
      because: z.nullable(z.string()),
    }),
  ),
  createdAt: time,
  createdBy: z.string(),
  /** The sessions whose notification of the change could not be stored. */
  note: z.optional(z.string()),
})

const content = {
  title: z.optional(newTaskTitle),
  body: z.optional(taskText),
  labels: z.optional(many(taskLabel)),
  priority: z.optional(taskPriority),
  after: z.optional(many(taskKey)),
}
const reads = { effect: 'reads', words: true } as const
const changes = { effect: 'changes', made: 'op', words: true } as const

export const taskOps = {
  task_add: {
    about: 'Put a task on the board of the project. for: NAME or role:R. after: tasks that have to be done first.',
    tool: changes,
    opens: 'task',
    request: z.object({ op: operationId, ...content, title: newTaskTitle, for: z.optional(assignee) }),
    response: detail,
  },
  task_list: {
    about: 'The tasks of the project: open (claimable or claimed; default), mine, blocked, or all.',
    tool: reads,
    request: z.object({
      which: z.optional(z.enum(['open', 'mine', 'blocked', 'all'])),
      label: z.optional(taskLabel),
      limit: z.optional(z.int().check(z.minimum(1), z.maximum(limits.tasks))),
    }),
    response: z.array(z.object(row)),
  },
  task_news: {
    about: 'Block until the board changed after what `since` saw. Without since: how things stand.',
    tool: null,
    request: z.object({ since: z.optional(z.int()) }),
    response: z.object({ version: z.int() }),
  },
  task_show: {
    about: 'One task, with every change that was made to it.',
    tool: reads,
    request: z.object({ id: taskKey }),
    response: z.extend(detail, {
      /** The runs it is tied to. */
      runs: z.array(z.object({ id: z.string(), name: z.nullable(z.string()), state: z.string() })),
      history: z.array(
        z.object({ rev: z.int(), at: time, by: z.string(), what: z.string(), text: z.nullable(z.string()) }),
      ),
    }),
  },
  task_claim: {
    about:
      'Take a task, or without id the most urgent one that is ready and for you; with wait until there is one. A claim falls when its holder is gone.',
    tool: changes,
    opens: 'task',
    awaits: awaitedTask,
    blocks: blockedByTask,
    request: z.object({
      op: operationId,
      id: z.optional(taskKey),
      wait: z.optional(z.boolean()),
      timeoutMs: z.optional(z.int().check(z.minimum(0), z.maximum(2_147_483_647))),
    }),
    response: detail,
  },
  task_change: {
    about:
      'Change a task: release, block (on a task or words), unblock, done, fail, cancel, edit, comment, link (a run or a message).',
    tool: changes,
    opens: 'task',
    request: z.object({
      op: operationId,
      id: taskKey,
      do: z.enum(['release', 'block', 'unblock', 'done', 'fail', 'cancel', 'edit', 'comment', 'link']),
      /** block, unblock: a task or words. */
      on: z.optional(z.union([taskKey, taskReason])),
      /** done, fail. */
      result: z.optional(taskText),
      /** comment; release, cancel: why. */
      text: z.optional(taskText),
      /** link: a run or a message. */
      to: z.optional(z.string().check(z.maxLength(64))),
      /** edit; null: for any session. */
      for: z.optional(z.nullable(assignee)),
      ...content,
    }),
    response: detail,
  },
} as const
