/** `mesh rename`, `mesh leave` and `mesh forget`. */
import { call } from '../../../client/client.ts'
import { operatorTarget, sessionTarget } from '../../../client/find.ts'
import { type LivingTarget, livingTargets } from '../../../client/living.ts'
import { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { checkName, quote } from '../../../wire/names.ts'
import type { Context } from '../../command.ts'
import { findLiving } from '../../living.ts'
import { oneLine } from '../../show/columns.ts'

const LEAVE_MS = 5000
const ANSWER_MS = 1000

/** `rename NEW` of this session, `rename OLD NEW` of another one that runs on this machine. */
export async function rename(context: Context): Promise<undefined> {
  const { args, out } = context
  const name = checkName(args[1] ?? args[0]!)
  const sidecar = args[1] === undefined ? context.sidecar() : await otherSidecar(context, checkName(args[0]!))
  const renamed = await sidecar.call('rename', { name })
  // It is renamed, whether or not its next command finds it there already.
  await sidecar.follow(renamed.name).catch(() => {})
  if (out.json) return void (await out.value(renamed))
  await out.line(oneLine(`${renamed.previous} is now ${renamed.name}`))
  if (sidecar.target.operator) out.note(`to go on under it: --as ${renamed.name}, or export MESH_NAME=${renamed.name}`)
}

async function otherSidecar(context: Context, name: string): Promise<Sidecar> {
  const { env, home } = context
  const own = sessionTarget(env, home)
  if (own?.name === name) return context.sidecar()
  if (own) throw new MeshError('denied', `${name} is not this session`, { hint: 'a person may rename it in a shell' })
  const found = await find(context, name)
  // A person's makes way for one that is found under the new name.
  const person = operatorTarget(home, { ...context.operator().target.operator!, name })
  return new Sidecar(person.dir === found.dir ? person : found, { env, home })
}

/** Ends the session of a person's shells: its name and its mail wait for the next command under it. */
export async function leave(context: Context): Promise<undefined> {
  const { args, env, home, out } = context
  const asked = args[0] === undefined ? null : checkName(args[0])
  if (asked === null && sessionTarget(env, home))
    throw new MeshError('conflict', 'the session of an agent leaves when it ends', { hint: 'mesh leave NAME' })
  const name = asked ?? context.operator().target.operator!.name
  const found = await find(context, name)
  if (!found.isOperator)
    throw new MeshError('conflict', `${name} is the session of an agent: it leaves when it ends`, {
      hint: `mesh stop ${name}`,
    })
  await call(found.socket, 'stop', {}, { timeoutMs: LEAVE_MS })
  const { awaitSilence } = await import('../../../client/spawn.ts')
  await awaitSilence(found.socket, LEAVE_MS)
  if (out.json) await out.value({ name })
  else await out.line(`${name} left`)
}

/** Finds a session of this project whose sidecar runs on this machine. */
async function find(context: Context, name: string): Promise<LivingTarget> {
  const { target } = context.operator()
  const found = livingTargets(context.home, target.operator!.project).find((one) => one.name === name)
  if (found) return found
  const ask = await findLiving(context.home, target, ANSWER_MS)
  const sessions = await ask?.('ps', {})
  if (sessions && !sessions.some((one) => one.name === name))
    throw new MeshError('not_found', `there is no session ${quote(name)}`)
  throw new MeshError('not_alive', `no session ${name} runs on this machine`, { hint: 'mesh ps lists the sessions' })
}

export async function forget({ args, out, sidecar }: Context): Promise<undefined> {
  const forgotten = await sidecar().call('forget', { name: checkName(args[0]!) })
  if (out.json) return void (await out.value(forgotten))
  const mail = forgotten.unread > 0 ? `, with ${forgotten.unread} unread messages` : ''
  await out.line(`${forgotten.name} is forgotten${mail}`)
}
