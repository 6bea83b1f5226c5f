/** `mesh spawn`: a session of its own for a prompt, under a supervisor that reports how it ends. Does not wait for it. */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import type { RunSpec } from '../../../api/supervisor.schema.ts'
import { Refused, startRun } from '../../../client/runs.ts'
import { MeshError } from '../../../errors.ts'
import { childEnv, clientCommand, DONE_RULE, launchCommand, resultContext } from '../../../harness/launch.ts'
import { readText } from '../../../host/files.ts'
import { findExecutable } from '../../../host/process/executable.ts'
import { readRepository } from '../../../host/repository/git.ts'
import { limits } from '../../../wire/limits.ts'
import { runEnv } from '../../../wire/lineage.ts'
import { checkName, childName, newId, quote } from '../../../wire/names.ts'
import { type Context, misuse, type Switches, type Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { fail, withHelpOf } from '../../output.ts'
import { lineageOf, notifyIn, ownerOf } from './supervised.ts'

/** Limit of the look whether a name is free. */
const NAME_MS = 3000
/** A value that becomes part of the client's command line. */
const VALUE_CHARS = 4096

type Flags = Values<'name' | 'timeout' | 'notify' | 'schema' | 'model' | 'permissionMode' | 'allowedTools'> &
  Switches<'worktree' | 'bg'>

export async function run(context: Context<Flags>): Promise<number> {
  const { home, out } = context
  const spec = await specOf(context)
  const { name } = spec
  if (context.flags.name !== undefined) await checkFree(context, name)
  try {
    const { pid } = await startRun(spec, environment(context, spec), home)
    if (out.json) await out.value({ runId: spec.run, name, pid })
    else await out.line(`${spec.run} ${name} pid ${pid}`)
    return 0
  } catch (error) {
    if (!(error instanceof Refused) || error.status === 125) throw error
    fail(withHelpOf('spawn', error), out.json)
    return error.status
  }
}

async function specOf(context: Context<Flags>): Promise<RunSpec> {
  const { flags, env, cwd, command } = context
  if (flags.worktree && readRepository(cwd) === null)
    throw misuse(command, 'for --worktree this has to be a git repository')
  const input = await prompt(context)
  const { owner, project } = ownerOf(context)
  const run = newId('r')
  const name = flags.name === undefined ? childName(owner, run) : checkName(flags.name)
  const schema = flags.schema === undefined ? undefined : readSchema(resolve(cwd, flags.schema))
  const lineage = lineageOf(env)
  const session = randomUUID()
  const background = flags.bg === true
  const client = clientCommand(env, (word) => isInPath(word, env.PATH, cwd))
  const words = launchCommand({
    client,
    session,
    name,
    background,
    worktree: flags.worktree === true,
    context: schema === undefined ? '' : resultContext(JSON.stringify(schema)),
    env: { ...runEnv(lineage, run), ...meshEnv(context, { name, project }) },
    model: value(flags.model, '--model'),
    permissionMode: value(flags.permissionMode, '--permission-mode'),
    allowedTools: rules(value(flags.allowedTools, '--allowed-tools'), schema !== undefined),
  })
  return {
    v: 1,
    run,
    name,
    owner,
    project,
    lineage,
    cwd,
    input,
    runKind: 'session',
    command: words,
    detach: true,
    ...notifyIn(flags),
    timeoutMs: flags.timeout === undefined ? null : parseDuration(flags.timeout, '--timeout', 1),
    ...(background ? { background } : { session }),
    ...(schema === undefined ? {} : { schema }),
  }
}

/** Refuses a name that a living session has. If no sidecar can be asked, the check is skipped. */
async function checkFree(context: Context, name: string): Promise<void> {
  if (await isAlive(context, name))
    throw new MeshError('name_taken', `there is a session "${name}" already`, { hint: 'choose another --name' })
}

async function isAlive({ sidecar }: Context, name: string): Promise<boolean> {
  try {
    return (await sidecar().call('alive', { name }, { timeoutMs: NAME_MS })).alive
  } catch {
    return false
  }
}

function isInPath(word: string, path: string | undefined, cwd: string): boolean {
  const found = findExecutable(word, path, cwd)
  return !('fault' in found) || found.fault !== 'not_found'
}

async function prompt(context: Context): Promise<string> {
  const text = await context.text()
  if (text.length <= limits.promptChars) return text
  throw new MeshError('too_large', `the prompt has ${text.length} characters`, {
    hint: `at most ${limits.promptChars}; write it to a file and name that`,
  })
}

/** The supervisor checks that it is a schema: commands know no JSON Schema. */
function readSchema(path: string): unknown {
  let schema: unknown
  const text = readText(path, limits.schemaChars * 4)
  if (text === null) throw new MeshError('bad_request', `--schema: there is no file ${quote(path)}`)
  try {
    schema = JSON.parse(text)
  } catch {
    throw new MeshError('bad_request', `${quote(path)} is not JSON`, { hint: 'see https://json-schema.org' })
  }
  const { length } = JSON.stringify(schema)
  if (length <= limits.schemaChars) return schema
  throw new MeshError('too_large', `the schema has ${length} characters`, { hint: `at most ${limits.schemaChars}` })
}

/** A person may start a session from a plain shell: what is the client's own business is not ours to check. */
function value(text: string | undefined, flag: string): string | undefined {
  if (text === undefined || (text !== '' && text.length <= VALUE_CHARS)) return text
  throw new MeshError('bad_request', `${flag} takes 1 to ${VALUE_CHARS} characters`)
}

function rules(asked: string | undefined, hasSchema: boolean): string | undefined {
  const all = [asked, hasSchema ? DONE_RULE : undefined].filter((rule) => rule !== undefined)
  return all.length === 0 ? undefined : all.join(',')
}

/** The child is a session of this mesh and project, under its own name. */
function meshEnv({ home }: Context, { name, project }: { name: string; project: string }): Record<string, string> {
  return { MESH_HOME: home.root, MESH_PROJECT: project, MESH_NAME: name }
}

/**
 * The client's daemon keeps the environment that it was started in for all its sessions, those of other projects too.
 * The child's own variables are in its settings.
 */
function environment(context: Context, spec: RunSpec) {
  const { MESH_PROJECT: _, ...env } = childEnv(context.env)
  return spec.background ? env : { ...env, ...meshEnv(context, spec) }
}
