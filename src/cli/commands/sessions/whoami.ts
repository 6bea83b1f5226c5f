/** `mesh whoami`: the session that this shell acts as. */
import { causeWords, told } from '../../../wire/cause.ts'
import type { Context, Switches } from '../../command.ts'
import { columns, oneLine } from '../../show/columns.ts'

/** Fields that a terminal shows with --verbose. */
const INNER = new Set(['sessionId', 'member', 'epoch', 'connected', 'run', 'lineage'])

export async function run({ flags, out, sidecar }: Context<Switches<'verbose'>>): Promise<undefined> {
  const me = told(await sidecar().call('whoami', {}))
  if (out.json) return void (await out.value(me))
  const isFull = !process.stdout.isTTY || flags.verbose
  const cause = 'cause' in me ? { cause: me.cause ? causeWords(me.cause) : '-' } : {}
  const fields = Object.entries({ ...me, ...cause }).filter(([key]) => isFull || !INNER.has(key))
  const rows = fields.map(([key, value]) => [key, Array.isArray(value) ? value.join(' ') || '-' : String(value)])
  await out.line(columns(rows.map(([key, value]) => [key!, oneLine(value!)])).join('\n'))
}
