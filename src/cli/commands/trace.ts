/** `mesh trace`: the steps of a message or a run, each with its evidence. */
import { MeshError } from '../../errors.ts'
import { quote } from '../../wire/names.ts'
import type { Context } from '../context.ts'
import { columns, oneLine } from '../units.ts'
import { checkId } from '../values.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const id = args[0]!
  if (!/^[mr]_/.test(id))
    throw new MeshError('bad_request', `${quote(id)} is neither a message id nor a run id`, {
      hint: 'mesh inbox shows the ones, mesh ps --runs the others',
    })
  const trace = id.startsWith('r_')
    ? await sidecar().call('run_trace', { run: id })
    : await sidecar().call('trace', { id: checkId(id) })
  if (out.json) return void (await out.value(trace))
  const rows = trace.steps.map(({ state, at, by, evidence }) => [at ?? '-', state, oneLine(by), oneLine(evidence)])
  const head = 'owner' in trace ? `${trace.id} ${trace.name} of ${trace.owner}, ${trace.state}` : trace.id
  await out.line([oneLine(head), ...columns(rows).map((row) => `  ${row}`)].join('\n'))
}
