/** `mesh done`: a spawned session's own word that its work is over. Goes to its supervisor, which keeps it. */
import { askRun } from '../../../client/runs.ts'
import { MeshError } from '../../../errors.ts'
import { limits } from '../../../wire/limits.ts'
import { isRunId } from '../../../wire/names.ts'
import type { Context, Switches, Values } from '../../command.ts'
import { readInput } from '../../input/text.ts'

export async function run({
  flags,
  env,
  home,
  out,
}: Context<Values<'result'> & Switches<'failed'>>): Promise<undefined> {
  const id = env.MESH_RUN_ID
  if (!id || !isRunId(id)) throw notSpawned()
  const text = flags.result === '-' ? (await readInput(process.stdin)).trim() : flags.result
  const result = text === undefined ? {} : { result: compact(text) }
  const answer = await askRun(home, id, { op: 'done', failed: flags.failed === true, ...result }).catch((error) => {
    throw MeshError.from(error).code === 'not_found' ? notSpawned() : error
  })
  if ('misfits' in answer) {
    throw new MeshError('bad_request', `the result does not fit: ${answer.misfits.join('; ')}`, {
      hint: 'mend it and call mesh done again',
    })
  }
  if (out.json) await out.value({ runId: id })
  else await out.line('reported: end your turn now')
}

function notSpawned(): MeshError {
  return new MeshError('bad_request', 'this is not inside a spawned session', {
    hint: 'no run waits for a result here; to reach a session: mesh send NAME -- TEXT',
  })
}

/** Returns JSON without white space, as it is kept. */
function compact(text: string): string {
  let json: string
  try {
    json = JSON.stringify(JSON.parse(text))
  } catch {
    throw new MeshError('bad_request', 'the result is not JSON', { hint: `words are JSON in quotes: '"done"'` })
  }
  if (json.length <= limits.resultChars) return json
  throw new MeshError('too_large', `the result has ${json.length} characters`, {
    hint: `at most ${limits.resultChars}; write it to a file and name that`,
  })
}
