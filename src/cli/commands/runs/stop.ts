/** `mesh stop`: ends a run of this session, and shows how it ended. */
import { constants } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { livingTargets } from '../../../client/living.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { quote } from '../../../wire/names.ts'
import type { Context, Switches, Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { checkRun } from '../../input/values.ts'
import { projectOf } from '../../living.ts'
import { oneLine } from '../../show/columns.ts'
import { wholeView } from '../../show/view.ts'
import { isUnknown } from '../mail/unknown.ts'
import { eventLines } from './lines.ts'

type Flags = Values<'signal' | 'grace'> & Switches<'yes'>

export async function run(context: Context<Flags>): Promise<undefined> {
  const { args, flags, out } = context
  const sidecar = context.sidecar()
  const request = {
    run: checkRun(args[0]!),
    ...(flags.signal !== undefined && { signal: signalOf(flags.signal) }),
    ...(flags.grace !== undefined && { graceMs: parseDuration(flags.grace, '--grace') }),
  }
  const stop = (yes: boolean) => sidecar.call('run_stop', { ...request, yes }, { timeoutMs: 0 })
  const ended = await stop(flags.yes === true).catch(async (error) => {
    if (isUnknown(error) && isPersons(context, sidecar)) throw notARun(args[0]!)
    if (!needsConsent(error) || out.json || !(await consents(error.message))) throw error
    return stop(true)
  })
  if (out.json) await out.value(ended)
  else await out.line(eventLines(ended, wholeView(Date.now())))
}

/** The session of a person's shells is no run: it leaves. */
function isPersons({ args, home }: Context<Flags>, { target }: Sidecar): boolean {
  return livingTargets(home, projectOf(target)).some(({ name, isOperator }) => isOperator && name === args[0])
}

function notARun(name: string): MeshError {
  return new MeshError('not_found', `${name} is the session of a person’s shells, not a run`, {
    hint: `mesh leave ${name}`,
  })
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
