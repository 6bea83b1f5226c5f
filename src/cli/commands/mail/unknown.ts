/** Words for a text that is the name or id of nothing. */
import { MeshError } from '../../../errors.ts'
import { quote } from '../../../wire/names.ts'

export function isUnknown(error: unknown): boolean {
  return MeshError.from(error).code === 'not_found'
}

export function noMessageOrRun(text: string): MeshError {
  return new MeshError('not_found', `there is no message or run ${quote(text)}`, {
    hint: 'mesh inbox --peek lists messages, mesh ps --runs runs',
  })
}

export function noSessionOrRun(text: string): MeshError {
  return new MeshError('not_found', `there is no session or run ${quote(text)}`, {
    hint: 'mesh ps lists sessions, mesh ps --runs runs',
  })
}
