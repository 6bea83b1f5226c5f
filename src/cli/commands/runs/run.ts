/** `mesh run`: a command under a supervisor that outlives this process. The mesh need not be there. */
import { accessSync, constants as fileAccess, statSync } from 'node:fs'
import { constants } from 'node:os'
import { basename, resolve } from 'node:path'
import type { RunSpec } from '../../../api/supervisor.schema.ts'
import { startAlone } from '../../../client/alone.ts'
import { Refused, type StartedRun, startRun } from '../../../client/runs.ts'
import { MeshError } from '../../../errors.ts'
import { ensurePrivateDir } from '../../../host/files.ts'
import { shutOff } from '../../../host/sandbox.ts'
import { limits } from '../../../wire/limits.ts'
import { checkName, newId, quote, toName } from '../../../wire/names.ts'
import { type Context, misuse, type Switches, type Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { fail, withHelpOf } from '../../output.ts'
import { oneLine } from '../../show/columns.ts'
import { lineageOf, notifyIn, ownerOf, printStarted } from './supervised.ts'

const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const

/** Exit code of shells and env(1) when the fault is their own. */
const OWN_FAILURE = 125
/** As timeout(1) has it, whatever way the command took. */
const OUT_OF_TIME = 124
/** The command was asked to end and then exited with 0: what comes after it must not take that for success. */
const ENDED = 11

type Flags = Values<'name' | 'timeout' | 'cwd' | 'notify'> & Switches<'detach'>

export async function run(context: Context<Flags>): Promise<number> {
  try {
    return await supervise(context)
  } catch (error) {
    fail(withHelpOf(context.command.name, error), context.out.json)
    return error instanceof Refused ? error.status : OWN_FAILURE
  }
}

async function supervise(context: Context<Flags>): Promise<number> {
  const { out } = context
  const spec = specOf(context)
  const passTo = spec.detach ? null : passSignals()
  const started = await start(spec, context)
  if (spec.detach) return printStarted(context, spec.run, started.pid)
  passTo?.(started)
  const ended = await started.ended
  if (out.json) await out.value(ended)
  else if (ended.state === 'terminated' || ended.state === 'cancelled')
    out.note(`${spec.name} ${ended.state}: ${oneLine(ended.reason)}`)
  if (ended.reasonCode === 'timeout') return OUT_OF_TIME
  if (ended.exitCode === 0 && ended.state !== 'completed') return ENDED
  if (ended.exitCode !== null) return ended.exitCode
  return 128 + (constants.signals[ended.signal as NodeJS.Signals] ?? 0)
}

/** In a sandbox, or without a usable mesh home, the command runs all the same: only a detached one needs a supervisor. */
async function start(spec: RunSpec, { env, home, out }: Context<Flags>): Promise<StartedRun> {
  const alone = (await shutOff(env, home.root)) ?? unusable(home.root)
  if (!alone) return startRun(spec, env, home)
  if (spec.detach) throw alone
  const started = await startAlone(spec, env)
  out.note(`${alone.message}: ${spec.name} runs unsupervised, and nobody is notified of its end`)
  return started
}

function unusable(root: string): MeshError | null {
  try {
    ensurePrivateDir(root)
    accessSync(root, fileAccess.W_OK)
    return null
  } catch (error) {
    return MeshError.from(error)
  }
}

function specOf(context: Context<Flags>): RunSpec {
  const { flags, env, words, command } = context
  if (!words || words.length === 0 || words[0] === '') throw misuse(command, 'the command comes after --')
  checkSize(words)
  const { name, owner, project } = { ...ownerOf(context), name: nameOf(flags.name, words[0]!) }
  return {
    v: 1,
    run: newId('r'),
    name,
    owner,
    project,
    lineage: lineageOf(env),
    command: [...words],
    cwd: directory(resolve(context.cwd, flags.cwd ?? '.')),
    detach: flags.detach === true,
    ...notifyIn(flags),
    timeoutMs: flags.timeout === undefined ? null : parseDuration(flags.timeout, '--timeout', 1),
  }
}

function nameOf(asked: string | undefined, word: string): string {
  return asked === undefined ? toName(basename(word)) : checkName(asked)
}

function checkSize(words: readonly string[]): void {
  const bytes = words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0)
  if (words.length <= limits.commandWords && bytes <= limits.commandBytes) return
  throw new MeshError('too_large', `the command has ${words.length} words and ${bytes} bytes`, {
    hint: `at most ${limits.commandWords} words and ${limits.commandBytes} bytes; put them into a script`,
  })
}

function directory(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path
  throw new MeshError('bad_request', `--cwd ${quote(path)} is not a directory`)
}

/** Passes signals on to the command: those that come while it starts as well, once it has. */
function passSignals(): (started: StartedRun) => void {
  const early: NodeJS.Signals[] = []
  let pass = (name: NodeJS.Signals): void => void early.push(name)
  for (const name of PASSED_ON) {
    process.removeAllListeners(name)
    process.on(name, () => pass(name))
  }
  return ({ signal }) => {
    pass = signal
    for (const name of early) signal(name)
  }
}
