/** `mesh alive`: whether a session is alive, as an exit code. */
import { MeshError } from '../../../errors.ts'
import { causeWords, told } from '../../../wire/cause.ts'
import { checkName } from '../../../wire/names.ts'
import type { Context } from '../../command.ts'
import { fail } from '../../output.ts'
import { oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'

export async function run({ args, out, sidecar }: Context): Promise<number> {
  const name = checkName(args[0]!)
  const session = told(await sidecar().call('alive', { name }))
  const since = `last active ${ago(session.lastActivityAt, Date.now())} ago`
  const doing = session.cause ? ` (${oneLine(causeWords(session.cause))})` : ''
  if (out.json) await out.value(session)
  else if (session.alive) await out.line(`${name} is ${session.status}${doing}, ${since}`)
  if (session.alive) return 0
  const why = session.reason ? `: ${oneLine(session.reason)}` : ''
  return fail(new MeshError('not_alive', `${name} is ${session.status}${why}, ${since}`), out.json)
}
