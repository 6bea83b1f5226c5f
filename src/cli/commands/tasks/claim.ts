/** `mesh task claim`. */
import { newOperation } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { parseDuration } from '../../input/units.ts'
import { misuse } from '../../parse.ts'
import { checkTaskId } from './fields.ts'
import { printClaimed } from './lines.ts'

/** The sidecar keeps the time of a wait; this much later it is taken for stuck. */
const GRACE_MS = 10_000

export async function run({ args, command, flags, out, sidecar }: Context): Promise<undefined> {
  const [id] = args
  if (id === undefined ? !flags.next : flags.next)
    throw misuse(command, id === undefined ? 'name a task, or say --next' : 'a task or --next, not both')
  if (id !== undefined && flags.waitForTask) throw misuse(command, '--wait goes with --next')
  const timeoutMs = flags.timeout === undefined ? undefined : parseDuration(flags.timeout, '--timeout')
  const which = id === undefined ? {} : { id: checkTaskId(id) }
  const wait = flags.waitForTask ? { wait: true, ...(timeoutMs !== undefined && { timeoutMs }) } : {}
  const patience = flags.waitForTask ? { timeoutMs: timeoutMs === undefined ? 0 : timeoutMs + GRACE_MS } : {}
  await printClaimed(await sidecar().call('task_claim', { op: newOperation(), ...which, ...wait }, patience), out)
}
