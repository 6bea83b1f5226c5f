/** `mesh trace`: the steps of a message, each with its evidence. */
import type { Context } from '../context.ts'
import { columns, oneLine } from '../units.ts'
import { checkId } from '../values.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const id = checkId(args[0]!)
  const trace = await sidecar().call('trace', { id })
  if (out.json) return void (await out.value(trace))
  const rows = trace.steps.map(({ state, at, by, evidence }) => [at, state, oneLine(by), oneLine(evidence)])
  await out.line([trace.id, ...columns(rows).map((row) => `  ${row}`)].join('\n'))
}
