/** `mesh stop`: ends a run of this session, and shows how it ended. */
import { constants } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { MeshError } from '../../../errors.ts'
import { quote } from '../../../wire/names.ts'
import type { Context, Switches, Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { oneLine } from '../../show/columns.ts'
import { wholeView } from '../../show/view.ts'
import { eventLines } from './lines.ts'

type Flags = Values<'signal' | 'grace'> & Switches<'yes'>

export async function run({ args, flags, out, sidecar: find }: Context<Flags>): Promise<undefined> {
  const sidecar = find()
  const request = {
    run: args[0]!,
    ...(flags.signal !== undefined && { signal: signalOf(flags.signal) }),
    ...(flags.grace !== undefined && { graceMs: parseDuration(flags.grace, '--grace') }),
  }
  const stop = (yes: boolean) => sidecar.call('run_stop', { ...request, yes }, { timeoutMs: 0 })
  const ended = await stop(flags.yes === true).catch(async (error) => {
    if (!needsConsent(error) || out.json || !(await consents(error.message))) throw error
    return stop(true)
  })
  if (out.json) await out.value(ended)
  else await out.line(eventLines(ended, wholeView(Date.now())))
}

function needsConsent(error: unknown): error is MeshError {
  return error instanceof MeshError && error.detail === 'needs_consent'
}

/** Asks the person at the terminal; false where there is none. */
async function consents(why: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false
  const line = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await line.question(`mesh: ${oneLine(why)}. End it? [y/N] `)
  line.close()
  return /^y(es)?$/i.test(answer.trim())
}

/** `TERM`, `SIGTERM` and `term` are one. */
function signalOf(text: string): string {
  const name = `SIG${text.toUpperCase().replace(/^SIG/, '')}`
  if (Object.hasOwn(constants.signals, name)) return name
  throw new MeshError('bad_request', `--signal ${quote(text)} is not a signal`, {
    hint: 'for example TERM, INT or HUP',
  })
}
