/** What the task board promises, said a second time and as plainly as can be: the code under test is held against it. */
import fc from 'fast-check'
import type { Move } from '../../../src/core/tasks/board.ts'

export interface ModelTask {
  state: 'open' | 'claimed' | 'done' | 'failed' | 'cancelled'
  holder: string | null
  fence: number
  after: string[]
  words: string[]
  creator: string
}

export type Outcome = 'ok' | 'conflict'
type Tasks = Record<string, ModelTask>

/** What a user can do to a task. */
export type Command = Extract<
  Move,
  { do: 'claim' | 'release' | 'block' | 'unblock' | 'done' | 'fail' | 'cancel' | 'edit' | 'comment' }
>

export const newTask = (creator: string): ModelTask => {
  return { state: 'open', holder: null, fence: 0, after: [], words: [], creator }
}

/** Does it to the task `id` if that is legal. */
export function play(tasks: Tasks, id: string, by: string, command: Command): Outcome {
  const task = tasks[id]!
  if (command.do === 'comment') return 'ok'
  if (['done', 'failed', 'cancelled'].includes(task.state)) return 'conflict'
  const isHeldByOther = task.holder !== null && task.holder !== by
  switch (command.do) {
    case 'claim':
      if (isHeldByOther || isWaiting(tasks, task)) return 'conflict'
      if (task.holder === null) Object.assign(task, { state: 'claimed', holder: by, fence: task.fence + 1 })
      return 'ok'
    case 'release':
      if (task.holder !== by) return 'conflict'
      Object.assign(task, { state: 'open', holder: null })
      return 'ok'
    case 'done':
    case 'fail':
      if (isHeldByOther) return 'conflict'
      Object.assign(task, { state: command.do === 'done' ? 'done' : 'failed', holder: null })
      return 'ok'
    case 'cancel':
      if (isHeldByOther && by !== task.creator) return 'conflict'
      Object.assign(task, { state: 'cancelled', holder: null })
      return 'ok'
    case 'block': {
      if (!(command.on in tasks)) task.words = [...new Set([...task.words, command.on])]
      return command.on in tasks ? waitFor(tasks, id, [...new Set([...task.after, command.on])]) : 'ok'
    }
    case 'unblock':
      return unblock(task, command.on)
    case 'edit':
      return command.after ? waitFor(tasks, id, command.after) : 'ok'
  }
}

function isWaiting(tasks: Tasks, { after, words }: ModelTask): boolean {
  return words.length > 0 || after.some((id) => tasks[id]!.state !== 'done')
}

function waitFor(tasks: Tasks, id: string, after: string[]): Outcome {
  const reached = new Set<string>()
  const look = [...after]
  for (let one = look.pop(); one !== undefined; one = look.pop()) {
    if (!reached.has(one)) look.push(...tasks[one]!.after)
    reached.add(one)
  }
  if (reached.has(id)) return 'conflict'
  tasks[id]!.after = after
  return 'ok'
}

function unblock(task: ModelTask, on: string | undefined): Outcome {
  const isThere = on === undefined ? task.words.length > 0 : [...task.after, ...task.words].includes(on)
  if (!isThere) return 'conflict'
  if (on === undefined) task.words = []
  else Object.assign(task, { after: task.after.filter((id) => id !== on), words: task.words.filter((w) => w !== on) })
  return 'ok'
}

/** Sequences of commands by `people` sessions on as many tasks as there are `ids`. */
export function sequences(ids: readonly string[], people: number, length: { min: number; max: number }) {
  const id = fc.constantFrom(...ids)
  const simple = fc.constantFrom('claim', 'claim', 'release', 'done', 'fail', 'cancel', 'unblock')
  const command: fc.Arbitrary<Command> = fc.oneof(
    { weight: 4, arbitrary: simple.map((word) => ({ do: word }) as Command) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('block' as const), on: fc.oneof(id, fc.constant('words')) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('unblock' as const), on: fc.oneof(id, fc.constant('words')) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('edit' as const), after: fc.uniqueArray(id) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('comment' as const), text: fc.string({ maxLength: 20 }) }) },
  )
  return fc.array(fc.record({ on: fc.nat(ids.length - 1), by: fc.nat(people - 1), command }), {
    minLength: length.min,
    maxLength: length.max,
  })
}
