/** `mesh ping`: whether a session can be reached now, and with --wake through which door. */
import { MeshError } from '../../../errors.ts'
import { checkName, newId } from '../../../wire/names.ts'
import type { Context, Switches, Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { fail } from '../../output.ts'
import { oneLine } from '../../show/columns.ts'

/** The sidecar keeps the time; this much later it is taken for stuck. */
const GRACE_MS = 40_000

export async function run({
  args,
  flags,
  out,
  sidecar,
}: Context<Values<'timeout'> & Switches<'wake'>>): Promise<number> {
  const name = checkName(args[0]!)
  const timeoutMs = flags.timeout === undefined ? undefined : parseDuration(flags.timeout, '--timeout')
  const request = { id: newId('m'), name, wake: flags.wake === true, timeoutMs }
  const { problem, ...pinged } = await sidecar().call('ping', request, { timeoutMs: (timeoutMs ?? 0) + GRACE_MS })
  const { status, door, ms, evidence } = pinged
  if (out.json) await out.value(pinged)
  if (problem) return fail(MeshError.fromBody(problem), out.json)
  const how = flags.wake ? `read it through ${door}` : 'answered'
  if (!out.json) await out.line(oneLine(`${pinged.name} ${how} in ${ms} ms: ${status}, ${evidence}`))
  return 0
}
