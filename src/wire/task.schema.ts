/** An entry of the project's board, in the tasks bucket: one schema, tolerant of unknown fields. Pure. */
import * as z from 'zod/mini'
import { limits } from './limits.ts'
import { patterns } from './names.ts'

const name = z.string().check(z.regex(patterns.name, 'not a session name'))
const token = z.string().check(z.regex(patterns.token, 'not a name'))
const time = z.iso.datetime().check(z.maxLength(40))
const count = z.int().check(z.minimum(0))

export const taskId = z.string().check(z.regex(patterns.taskId, 'not a task id'))
/** Made by the session that changes a task, so that a change whose answer was lost is recognised. */
export const operationId = z.string().check(z.regex(/^[0-9a-f]{16,64}$/))
export const taskTitle = z.string().check(z.minLength(1), z.maxLength(limits.taskTitle))
/** The title of a task that is added or renamed. */
export const newTaskTitle = z
  .string()
  .check(
    z.trim(),
    z.minLength(1, 'a title says what is to be done'),
    z.maxLength(limits.taskTitle),
    z.regex(patterns.title, 'a title is one line without control characters'),
  )
export const taskText = z.string().check(z.maxLength(limits.taskText))
/** Words for what a task waits for. */
export const taskReason = z.string().check(z.minLength(1), z.maxLength(limits.taskReason))
export const taskLabel = z.string().check(z.regex(patterns.token, 'not a label: lower-case letters, digits, - and _'))
/** 0 comes first. */
export const taskPriority = z.int().check(z.minimum(0), z.maximum(9))
/** NAME or role:R. */
export const assignee = z.string().check(z.regex(patterns.assignee, 'neither NAME nor role:R'))
/** A run or a message. */
const taskLink = z.string().check(z.regex(/^[rm]_[0-9a-f]{32}$/, 'not the id of a run or message'))

/** The session that did something, by its own word. */
export const actor = z.object({ member: token, name, epoch: count })
export type Actor = z.output<typeof actor>

export const claim = z.object({
  holder: actor,
  since: time,
  /** Grows with each claim of the task: a holder that comes back late has an older one. */
  fence: z.int().check(z.minimum(1)),
  /** Set once the holder is gone or lost: after this the claim falls, unless the holder is back. */
  deadline: z.optional(time),
  /** Why the deadline is set. */
  because: z.optional(z.string().check(z.maxLength(limits.taskReason))),
})
export type Claim = z.output<typeof claim>

export const change = z.object({
  op: operationId,
  at: time,
  by: actor,
  /** `added`, `claimed`, `released`, … ; unknown words are shown as they are. */
  what: z.string().check(z.regex(/^[a-z][a-z_-]{0,31}$/)),
  /** Text for people. */
  text: z.optional(taskText),
})
export type Change = z.output<typeof change>

const taskState = z.enum(['open', 'claimed', 'done', 'failed', 'cancelled'])

export const task = z.object({
  v: z.literal(1),
  kind: z.literal('task'),
  id: taskId,
  title: taskTitle,
  body: z.optional(taskText),
  state: taskState,
  for: z.optional(assignee),
  /** Tasks that have to be done first. */
  after: z.array(taskId).check(z.maxLength(limits.taskLinks)),
  /** Words for what else it waits for. */
  blockedOn: z.array(taskReason).check(z.maxLength(limits.taskLinks)),
  priority: taskPriority,
  labels: z.array(taskLabel).check(z.maxLength(limits.taskLinks)),
  links: z.array(taskLink).check(z.maxLength(limits.taskLinks)),
  createdAt: time,
  createdBy: actor,
  /** Claims so far. */
  fence: count,
  claim: z.optional(claim),
  /** The lease that expired last, and why: its holder is notified when it comes back. */
  fallen: z.optional(
    z.object({ holder: actor, fence: count, at: time, because: z.string().check(z.maxLength(limits.taskReason)) }),
  ),
  result: z.optional(taskText),
  /** The change that made this revision. Earlier ones are the bucket's history. */
  change,
  /** Operations of the last changes, newest last. */
  recent: z.array(operationId).check(z.maxLength(limits.taskRecent)),
})
export type Task = z.output<typeof task>
