/** `mesh budget` and `mesh budget resume`: how often sessions answered each other without a person. */
import { sessionTarget } from '../../../client/find.ts'
import { MeshError } from '../../../errors.ts'
import { checkName } from '../../../wire/names.ts'
import { type Context, misuse, type Switches } from '../../command.ts'
import { columns, oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'

const TITLES = ['SESSION', 'PEER', 'ROUNDS', 'HELD', 'SINCE']
const NONE = 'no sessions answer each other without a person'

export async function show({ out, sidecar }: Context): Promise<undefined> {
  const pairs = await sidecar().call('budget', {})
  if (out.json) return void (await out.value(pairs))
  if (pairs.length === 0) return void (await out.line(NONE))
  const rows = pairs.map((pair) => {
    const since = `${ago(pair.since, Date.now())} ago`
    return [pair.name, pair.with, `${pair.rounds} of ${pair.limit}`, String(pair.held), since].map(oneLine)
  })
  await out.line(columns([TITLES, ...rows]).join('\n'))
}

export async function resume(context: Context<Switches<'all'>>): Promise<undefined> {
  const { args, command, flags, out } = context
  const [name] = args
  if ((name === undefined) === !flags.all) throw misuse(command, 'give the name of a session, or --all')
  if (name !== undefined) checkName(name)
  refuseModels(context, name ?? '--all')
  const answers = await context.sidecar().call('budget_resume', name === undefined ? {} : { name })
  if (out.json) return void (await out.value(answers))
  if (answers.length === 0) await out.line(NONE)
  for (const answer of answers) {
    const who = answer.with === null ? answer.name : `${answer.name} with ${answer.with}`
    await out.line(oneLine(`${who}: ${answer.evidence}`))
  }
}

/** Whatever --as says: a model's words are not a person's. */
function refuseModels({ env, home }: Context, which: string): void {
  if (sessionTarget(env, home))
    throw new MeshError('denied', 'an agent session may not release held messages', {
      hint: `ask the person to run, in a plain shell: mesh budget resume ${which}`,
    })
}
