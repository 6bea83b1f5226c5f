/** `mesh budget resume`: a person lets sessions go on that answered each other too often. */
import { sessionTarget } from '../../../client/find.ts'
import { MeshError } from '../../../errors.ts'
import { checkName } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { oneLine } from '../../input/units.ts'
import { misuse } from '../../parse.ts'

export async function run({ args, command, flags, env, home, out, sidecar }: Context): Promise<undefined> {
  const [name] = args
  if ((name === undefined) === !flags.all) throw misuse(command, 'give the name of a session, or --all')
  if (name !== undefined) checkName(name)
  // Whatever --as says: a model's words are not a person's.
  if (sessionTarget(env, home))
    throw new MeshError('denied', 'an agent session may not let exchanges go on', {
      hint: `ask the person to run, in a plain shell: mesh budget resume ${name ?? '--all'}`,
    })
  const answers = await sidecar().call('budget_resume', name === undefined ? {} : { name })
  if (out.json) return out.value(answers).then(() => undefined)
  if (answers.length === 0) await out.line('no sessions answer each other without a person')
  for (const answer of answers) {
    const who = answer.with === null ? answer.name : `${answer.name} with ${answer.with}`
    await out.line(oneLine(`${who}: ${answer.evidence}`))
  }
}
