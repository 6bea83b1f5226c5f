/** `mesh trace`: the steps of a message or a run, each with its evidence. */
import type { Context } from '../../command.ts'
import { columns, oneLine } from '../../input/units.ts'
import { checkId } from '../../input/values.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const id = args[0]!
  const trace = id.startsWith('m_')
    ? await sidecar().call('trace', { id: checkId(id) })
    : await sidecar().call('run_trace', { run: id })
  if (out.json) return void (await out.value(trace))
  const rows = trace.steps.map(({ state, at, by, evidence }) => [at ?? '-', state, oneLine(by), oneLine(evidence)])
  const head = 'owner' in trace ? `${trace.id} ${trace.name} of ${trace.owner}, ${trace.state}` : trace.id
  await out.line([oneLine(head), ...columns(rows).map((row) => `  ${row}`)].join('\n'))
}
