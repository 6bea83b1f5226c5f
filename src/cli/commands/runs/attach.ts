/** `mesh attach`: a supervisor for a process that runs already, and was not started by mesh. */
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import type { RunSpec } from '../../../api/supervisor.schema.ts'
import { startRun } from '../../../client/runs.ts'
import { MeshError } from '../../../errors.ts'
import { runDir } from '../../../host/home.ts'
import { userOf } from '../../../host/process/owner.ts'
import {
  commandLine,
  identifyProcess,
  isDescendant,
  leaderOf,
  type ProcessIdentity,
  workingDirectory,
} from '../../../host/process/process.ts'
import { attachedRunId } from '../../../wire/lineage.ts'
import { checkName, toName } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { parseCount } from '../../input/units.ts'
import { lineageOf, ownerOf, printStarted } from './supervised.ts'

const MAX_PID = 2 ** 22
const COMMAND_CHARS = 4096

export async function run(context: Context<Values<'name'>>): Promise<number> {
  const { args, flags, env, home } = context
  const pid = parseCount(args[0]!, 'the process id', 1, MAX_PID)
  const identity = identify(pid)
  refuseUnfit(pid)
  const command = commandLine(pid).slice(0, COMMAND_CHARS) || `process ${pid}`
  const { owner, project } = ownerOf(context)
  const id = attachedRunId(project, identity)
  if (existsSync(runDir(home, id)))
    throw new MeshError('conflict', `process ${pid} is supervised already: ${id}`, {
      hint: `wait for its end with: mesh wait ${id}`,
    })
  const name = flags.name === undefined ? toName(basename(command.split(' ')[0]!)) : checkName(flags.name)
  const spec: RunSpec = {
    v: 1,
    run: id,
    name,
    owner,
    project,
    lineage: lineageOf(env),
    command: [command],
    cwd: workingDirectory(pid) ?? '/',
    detach: true,
    timeoutMs: null,
    attach: identity,
  }
  await startRun(spec, env, home)
  return printStarted(context, id, pid)
}

/** Refuses a process whose end is not for a session to ask for: `mesh stop` would signal it. */
function refuseUnfit(pid: number): void {
  const hint = 'attach a process that you started: ps -f lists them'
  if (pid === 1) throw new MeshError('bad_request', 'process 1 is the init of this system', { hint })
  if (pid === process.pid || isDescendant(process.pid, pid))
    throw new MeshError('bad_request', `process ${pid} is one that this command runs in`, { hint })
  const user = userOf(pid)
  if (user !== null && user !== process.getuid?.())
    throw new MeshError('denied', `process ${pid} belongs to another user`, { hint })
}

function identify(pid: number): ProcessIdentity {
  const leader = leaderOf(pid)
  if (leader !== null && leader !== pid)
    throw new MeshError('bad_request', `${pid} is a thread of process ${leader}`, { hint: `mesh attach ${leader}` })
  const found = identifyProcess(pid)
  if (found) return found
  throw new MeshError('not_found', `there is no process ${pid} here`, {
    hint: 'it may have ended; ps -ef lists processes',
  })
}
