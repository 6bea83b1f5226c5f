/** `mesh` alone: the state of this project, and the commands to begin with. Quick, and starts nothing. */
import type { Response, Session } from '../../api/ops.schema.ts'
import { askEngine, type EngineInfo } from '../../engine/engine.ts'
import { MeshError } from '../../errors.ts'
import type { Context } from '../command.ts'
import { findLiving, projectOf } from '../living.ts'
import { oneLine } from '../show/columns.ts'
import { described, textWidth } from '../show/terms.ts'
import { type View, type ViewFlags, viewOf } from '../show/view.ts'
import { fit, wrap } from '../show/width.ts'
import { sessionLines } from './sessions/lines.ts'

const ANSWER_MS = 1000
const MOST_SESSIONS = 12

const beginnings = [
  ['mesh ps', 'list the sessions and the state of each'],
  ['mesh send NAME -- TEXT', 'send a message'],
  ['mesh ask NAME -- TEXT', 'send a message and wait for its reply'],
  ['mesh inbox', 'show unread messages'],
  ['mesh wait NAME', 'block until a session or a run is done'],
  ['mesh run -- COMMAND', 'run a command, have its end reported'],
  ['mesh spawn -- PROMPT', 'start a session for a prompt'],
  ['mesh task list', 'show the board'],
] as const

interface State {
  project: string
  /** The session, or the person at this shell. */
  name: string
  engine: EngineInfo
  /** Null where no sidecar of the project runs on this machine: it is not known. */
  sessions: Session[] | null
  runs: Response<'runs'> | null
  tasks: Response<'task_list'> | null
  unread: number | null
}

export async function run(context: Context<ViewFlags>): Promise<undefined> {
  const { flags, out } = context
  const view = viewOf(flags, Date.now())
  const state = await look(context).catch((error) => MeshError.from(error))
  if (out.json) {
    if (state instanceof MeshError) throw state
    return out.value(state).then(() => undefined)
  }
  const lines =
    state instanceof MeshError ? [fit(`mesh: ${oneLine(state.message)}`, view.width)] : stateLines(state, view)
  await out.line([...lines, '', ...described(beginnings), '', ...wrap(FOOTER, textWidth())].join('\n'))
}

const FOOTER = 'mesh help lists all commands; mesh up and mesh down start and stop the engine.'

async function look({ home, sidecar }: Context): Promise<State> {
  const engine = await askEngine(home)
  const { target } = sidecar()
  const ask = await findLiving(home, target, ANSWER_MS)
  const [sessions, runs, tasks] = ask
    ? await Promise.all([ask('ps', {}), ask('runs', {}), ask('task_list', { which: 'open' })])
    : [null, null, null]
  const name = target.operator?.name ?? target.name ?? ''
  const unread = sessions?.find((session) => session.name === name)?.unread ?? null
  return { project: projectOf(target), name, engine, sessions, runs, tasks, unread }
}

function stateLines({ project, name, engine, sessions, runs, tasks, unread }: State, view: View): string[] {
  const up = engine.running ? `engine up (nats-server ${engine.version})` : 'engine down, start it with: mesh up'
  const head = [fit(`project ${project}, you are ${name}, ${up}`, view.width), '']
  if (sessions === null) return [...head, 'no session of this project runs here']
  const there = sessions.filter(({ status }) => status !== 'gone')
  const gone = sessions.length - there.length
  const shown = there.slice(0, MOST_SESSIONS)
  return [
    ...head,
    ...(shown.length > 0 ? sessionLines(shown, view, true) : []),
    ...(there.length > shown.length ? [`… and ${there.length - shown.length} more, mesh ps`] : []),
    ...(gone > 0 ? [`${gone} gone, mesh ps --all`] : []),
    '',
    ...counts({ runs, tasks, unread }).map((line) => fit(line, view.width)),
  ]
}

function counts({ runs, tasks, unread }: Pick<State, 'runs' | 'tasks' | 'unread'>): string[] {
  const running = (runs ?? []).filter(({ endedAt }) => endedAt === undefined)
  // Only its own sidecar counts a name's mail.
  const mail = unread === 0 ? 'no unread messages for you' : `${unread} unread for you, mesh inbox`
  return [
    unread === null ? 'mesh inbox shows your messages' : mail,
    running.length === 0 ? 'no runs under way' : `${running.length} under way, mesh tree`,
    tasks === null || tasks.length === 0 ? 'no open tasks' : `${tasks.length} open tasks, mesh task list`,
  ]
}
