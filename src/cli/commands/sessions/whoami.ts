/** `mesh whoami`: the session that this shell acts as. */
import type { Context } from '../../command.ts'
import { columns, oneLine } from '../../input/units.ts'

export async function run({ out, sidecar }: Context): Promise<undefined> {
  const me = await sidecar().call('whoami', {})
  if (out.json) return void (await out.value(me))
  const rows = Object.entries(me).map(([key, value]) => [
    key,
    Array.isArray(value) ? value.join(' ') || '-' : String(value),
  ])
  await out.line(columns(rows.map(([key, value]) => [key!, oneLine(value!)])).join('\n'))
}
