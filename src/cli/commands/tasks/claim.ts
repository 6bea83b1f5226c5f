/** `mesh task claim`. */
import { newOperation } from '../../../wire/names.ts'
import { type Context, misuse, type Switches, type Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { checkTaskId } from './fields.ts'
import { printClaimed } from './lines.ts'

/** The sidecar keeps the time of a wait; this much later it is taken for stuck. */
const GRACE_MS = 10_000

type Flags = Switches<'next' | 'wait'> & Values<'timeout'>

export async function run({ args, command, flags, out, sidecar }: Context<Flags>): Promise<undefined> {
  const [id] = args
  if (id === undefined ? !flags.next : flags.next)
    throw misuse(command, id === undefined ? 'name a task, or say --next' : 'a task or --next, not both')
  if (id !== undefined && flags.wait) throw misuse(command, '--wait goes with --next')
  const timeoutMs = flags.timeout === undefined ? undefined : parseDuration(flags.timeout, '--timeout')
  const which = id === undefined ? {} : { id: checkTaskId(id) }
  const wait = flags.wait ? { wait: true, ...(timeoutMs !== undefined && { timeoutMs }) } : {}
  const patience = flags.wait ? { timeoutMs: timeoutMs === undefined ? 0 : timeoutMs + GRACE_MS } : {}
  await printClaimed(await sidecar().call('task_claim', { op: newOperation(), ...which, ...wait }, patience), out)
}
