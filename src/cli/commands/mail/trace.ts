/** `mesh trace`: the steps of a message or a run, with the proof of each. */
import type { Context } from '../../command.ts'
import { checkId, checkRun } from '../../input/values.ts'
import { columns, oneLine } from '../../show/columns.ts'
import { timeIn, type ViewFlags, viewOf } from '../../show/view.ts'
import { isUnknown, noMessageOrRun } from './unknown.ts'

const INDENT = 2

export async function run({ args, flags, out, sidecar }: Context<ViewFlags>): Promise<undefined> {
  const id = args[0]!
  const trace = id.startsWith('m_')
    ? await sidecar().call('trace', { id: checkId(id) })
    : await sidecar()
        .call('run_trace', { run: checkRun(id) })
        .catch((error) => {
          throw isUnknown(error) && !id.startsWith('r_') ? noMessageOrRun(id) : error
        })
  if (out.json) return void (await out.value(trace))
  const view = viewOf(flags, Date.now())
  const rows = trace.steps.map(({ state, at, by, evidence }) => {
    return [at ? timeIn(view, at) : '-', state, oneLine(by), oneLine(evidence)]
  })
  const head = 'owner' in trace ? `${trace.id} ${trace.name} of ${trace.owner}, ${trace.state}` : trace.id
  await out.line([oneLine(head), ...columns(rows, view.lineWidth - INDENT).map((row) => `  ${row}`)].join('\n'))
}
