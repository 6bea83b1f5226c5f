/** Makes the context of a command's run: finds the sidecar it speaks for, reads its text, prepares the engine. */
import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { Op, Request } from '../api/ops.schema.ts'
import { type Operator, operatorTarget, readRecord, refuseHidden, sessionTarget, type Target } from '../client/find.ts'
import { livingTargets } from '../client/living.ts'
import { Sidecar, type Context as SidecarContext } from '../client/sidecar.ts'
import { isUnused, listNothing } from '../client/unused.ts'
import { MeshError } from '../errors.ts'
import { type Env, type Home, meshHome } from '../host/home.ts'
import { changedProject } from '../host/repository/places.ts'
import { resolvePlace } from '../host/repository/project.ts'
import { checkName, toName } from '../wire/names.ts'
import type { AnyFlags, Context } from './command.ts'
import { joinWords, readInput } from './input/text.ts'
import { createOutput, type Output } from './output.ts'
import type { Parsed } from './parse.ts'

export function createContext(parsed: Parsed, env: Env, cwd: () => string): Context<AnyFlags> {
  const home = meshHome(env)
  const out = createOutput(parsed.flags.json === true)
  const { command, args } = parsed
  const flags = parsed.flags as Context<AnyFlags>['flags']
  const beforeStart = () => prepareEngine(env, home, out.note)
  return {
    ...{ command, args, flags, env, home, out, words: parsed.text, stdin: parsed.stdin },
    get cwd() {
      return cwd()
    },
    onInterrupt: null,
    text: () => readText(parsed),
    sidecar: () => {
      const { target, lent } = findTarget({ ...flags, reads: command.reads }, env, cwd, home)
      if (!env.MESH_PROJECT && target.operator) noteChange(target.operator, home, out)
      const nothing = command.reads && target.operator ? nothingIn(target.operator.project, home) : undefined
      return new Sidecar(target, { env, home, beforeStart, lent, ...(nothing && { nothing }) })
    },
    operator: () => new Sidecar(findOperator(flags, env, cwd, home), { env, home, beforeStart }),
  }
}

/** The name that an operator was given instead of the one behind `--as`, since a living session has that; else null. */
export function otherName(context: Context): string | null {
  const { command, flags, env, home } = context
  if (flags.as === undefined || command.name === 'rename' || sessionTarget(env, home)) return null
  try {
    const record = readRecord(findOperator(flags, env, () => context.cwd, home).dir)
    return record && record.name !== flags.as ? record.name : null
  } catch {
    // A command that needs no project, where there is none.
    return null
  }
}

/** Throws `bad_request` in a directory that was removed: a session's commands seldom need it. */
export function workingDirectory(): string {
  try {
    return process.cwd()
  } catch (cause) {
    const message = 'the directory that this runs in was removed'
    throw new MeshError('bad_request', message, { cause, hint: 'cd to one that is there, then try again' })
  }
}

interface NameFlag {
  readonly as?: string | undefined
}

interface Wanted extends NameFlag {
  readonly reads?: 'any' | 'own' | undefined
}

async function readText(parsed: Parsed): Promise<string> {
  const text = parsed.stdin ? await readInput(process.stdin) : parsed.text && joinWords(parsed.text)
  if (text) return text
  const { name, args } = parsed.command
  const example = ['mesh', name, ...(args ? [parsed.args[0] ?? 'NAME'] : []), '-- "TEXT"'].join(' ')
  throw new MeshError('bad_request', 'there is no text', { hint: `put it after --, for example: ${example}` })
}

/** Returns the sidecar to call, and one that runs already and answers a listing as well. */
function findTarget(
  { as, reads }: Wanted,
  env: Env,
  cwd: () => string,
  home: Home,
): { target: Target; lent?: Target | undefined } {
  const name = as === undefined ? null : checkName(as)
  const session = sessionTarget(env, home)
  if (session && (name === null || name === session.name)) return { target: session }
  // A name that was asked for is nobody's mistake.
  if (name === null) refuseHidden(env, home)
  const { project, worktree } = resolvePlace(env, cwd(), home)
  const living = livingTargets(home, project)
  const namesake = living.find((one) => one.name === name && !one.isOperator)
  if (namesake && reads === undefined) throw notYours(namesake)
  const own = operatorTarget(home, { project, worktree, name: name ?? operatorName(env) })
  if (namesake) return { target: namesake }
  if (reads !== 'any' || living.some(({ dir }) => dir === own.dir)) return { target: own }
  // A listing makes no session where there is one, and never one of a name that was mistyped.
  return { target: operatorTarget(home, { project, worktree, name: operatorName(env) }), lent: living[0] }
}

function nothingIn(project: string, home: Home): SidecarContext['nothing'] {
  return (op, body) => (isUnused(home, project) ? listNothing(op, body as Request<Op>) : undefined)
}

function notYours({ name }: { name: string }): MeshError {
  return new MeshError('conflict', `${name} is a living session of an agent: nothing was done in its name`, {
    hint: `as yourself: mesh send ${name} -- TEXT`,
  })
}

/** Says once that commands in a folder speak to another project than they did. */
function noteChange({ worktree, project }: Operator, home: Home, out: Output): void {
  const former = changedProject(home, worktree, project, !out.json)
  if (former === null) return
  out.note(`${worktree} is in project ${project} now; sessions and mail from before are in ${former}`)
  out.note(`to go on there: MESH_PROJECT=${former}, or {"project": "${former}"} in .mesh.json`)
}

/** In a session MESH_NAME is that session's. */
function findOperator(flags: NameFlag, env: Env, cwd: () => string, home: Home): Target {
  const { project, worktree } = resolvePlace(env, cwd(), home)
  const asked = flags.as === undefined ? null : checkName(flags.as)
  const name = asked ?? (sessionTarget(env, home) ? toName(loginName(env)) : operatorName(env))
  return operatorTarget(home, { project, worktree, name })
}

function operatorName(env: Env): string {
  return env.MESH_NAME ? checkName(env.MESH_NAME) : toName(loginName(env))
}

function loginName(env: Env): string {
  try {
    return userInfo().username
  } catch {
    // A user id without an entry in the user database, as in many containers.
    return env.USER || env.LOGNAME || `user-${process.getuid?.() ?? ''}`
  }
}

/** A sidecar starts the engine itself; what needs a person's eye comes first: the stop mark, and a first download. */
async function prepareEngine(env: Env, home: Home, say: (line: string) => void): Promise<void> {
  const { engineElsewhere, engineStatus } = await import('../engine/engine.ts')
  if (engineStatus(home).running || (await engineElsewhere(home))) return
  if (existsSync(join(home.engine, 'stopped'))) {
    throw new MeshError('mesh_down', 'mesh is down', { hint: 'start it with: mesh up' })
  }
  const { findEngine } = await import('../engine/binary.ts')
  if (findEngine(env, home)) return
  const { installEngine } = await import('../engine/fetch.ts')
  await installEngine(home, env, say)
}
