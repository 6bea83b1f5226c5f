/** `mesh stop`: ends a run of this session, and shows how it ended. */
import { constants } from 'node:os'
import { MeshError } from '../../../errors.ts'
import { quote } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { wholeView } from '../../show/view.ts'
import { eventLines } from './lines.ts'

export async function run({ args, flags, out, sidecar }: Context<Values<'signal' | 'grace'>>): Promise<undefined> {
  const request = {
    run: args[0]!,
    ...(flags.signal !== undefined && { signal: signalOf(flags.signal) }),
    ...(flags.grace !== undefined && { graceMs: parseDuration(flags.grace, '--grace') }),
  }
  const ended = await sidecar().call('run_stop', request, { timeoutMs: 0 })
  if (out.json) await out.value(ended)
  else await out.line(eventLines(ended, wholeView(Date.now())))
}

/** `TERM`, `SIGTERM` and `term` are one. */
function signalOf(text: string): string {
  const name = `SIG${text.toUpperCase().replace(/^SIG/, '')}`
  if (Object.hasOwn(constants.signals, name)) return name
  throw new MeshError('bad_request', `--signal ${quote(text)} is not a signal`, {
    hint: 'for example TERM, INT or HUP',
  })
}
