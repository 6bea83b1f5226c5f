/** `mesh ps`: the sessions of the project. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Session } from '../../../api/ops.schema.ts'
import { livingProjects } from '../../../client/living.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { readRepository } from '../../../host/repository/git.ts'
import { told } from '../../../wire/cause.ts'
import type { Context, Switches } from '../../command.ts'
import { findLiving, projectOf } from '../../living.ts'
import type { Output } from '../../output.ts'
import { oneLine } from '../../show/columns.ts'
import { onScreen } from '../../show/screen.ts'
import { screenOf, type ViewFlags, viewOf } from '../../show/view.ts'
import { fit } from '../../show/width.ts'
import { runListing } from '../runs/lines.ts'
import { changedLines, sessionLines } from './lines.ts'

const WATCH_MS = 1000
const SHORT_MS = 500
const ANSWER_MS = 2000

type Flags = Switches<'runs' | 'watch' | 'all' | 'allProjects' | 'short'> & ViewFlags

export async function run(context: Context<Flags>): Promise<undefined> {
  const { flags, out, sidecar: find } = context
  if (flags.short) return printShort(context)
  if (flags.allProjects) return printProjects(context)
  const sidecar = find()
  if (flags.runs) {
    const runs = await sidecar.call('runs', {})
    if (out.json) await out.value(runs)
    else await out.line(runListing(runs, viewOf(flags, Date.now())).join('\n'))
    return
  }
  if (flags.watch) return onScreen(out, () => watch(sidecar, flags, out))
  const sessions = (await sidecar.call('ps', {})).map(told)
  if (out.json) return void (await out.value(sessions))
  const view = viewOf(flags, Date.now())
  const head = view.isScreen ? [fit(headOf(context, projectOf(sidecar.target)), view.width)] : []
  await out.line([...head, ...sessionLines(sessions, view, flags.all === true)].join('\n'))
}

/** Outside of a repository every folder is a project of its own, which is seldom meant. */
function headOf({ env, cwd }: Context<Flags>, project: string): string {
  const isAlone = !env.MESH_PROJECT && readRepository(cwd) === null
  return `project ${project}${isAlone ? ', not in a repository: of this folder alone' : ''}`
}

/** One line for a prompt or a status bar: who is there, who waits for a person, the unread messages. Starts nothing. */
async function printShort({ home, out, sidecar }: Context<Flags>): Promise<undefined> {
  const { target } = sidecar()
  const ask = await findLiving(home, target, SHORT_MS)
  const sessions = ((await ask?.('ps', {})) ?? []).filter(({ status }) => status !== 'gone' && status !== 'lost')
  const me = target.operator?.name ?? target.name
  const counts = {
    there: sessions.length,
    waiting: sessions.filter(({ status }) => status === 'waiting').length,
    unread: sessions.find(({ name }) => name === me)?.unread ?? 0,
  }
  if (out.json) await out.value(counts)
  else await out.line(`●${counts.there} ◐${counts.waiting} ✉${counts.unread}`)
}

/** The sessions of every project that has one on this machine. */
async function printProjects({ env, flags, home, out }: Context<Flags>): Promise<undefined> {
  const found = await Promise.all(
    livingProjects(home).map(async (project) => {
      const ask = await findLiving(home, { dir: '', socket: '', project }, ANSWER_MS)
      return { project, sessions: ((await ask?.('ps', {})) ?? []).map(told) }
    }),
  )
  const there = found.filter(({ sessions }) => sessions.length > 0)
  const all = there.flatMap(({ project, sessions }) => sessions.map((one) => ({ project, ...one })))
  if (out.json) return void (await out.value(all))
  const view = viewOf(flags, Date.now())
  const parts = there.map(({ project, sessions }) =>
    [
      `project ${project}${project === env.MESH_PROJECT ? ', this one' : ''}`,
      ...sessionLines(sessions, view, flags.all === true),
    ].join('\n'),
  )
  await out.line(parts.join('\n\n') || 'no session of any project runs here')
}

/** On a terminal the table is drawn again; else each change is a line (with JSON: the whole list). */
async function watch(sidecar: Sidecar, flags: Flags, out: Output): Promise<never> {
  let last = new Map<string, string>()
  for (;;) {
    const sessions = await patiently(sidecar)
    const current = new Map(sessions.map((session) => [session.name, JSON.stringify(session)]))
    const view = viewOf(flags, Date.now())
    if (out.json) await (differ(last, current) && out.value(sessions))
    else if (view.isScreen) await out.line(screenOf(sessionLines(sessions, view, flags.all === true)))
    else {
      const changed = sessions.filter(({ name }) => last.get(name) !== current.get(name))
      const removed = [...last.keys()].filter((name) => !current.has(name))
      const lines = [...changedLines(changed, view), ...removed.map((name) => `${oneLine(name)}  forgotten`)]
      for (const line of lines) await out.line(line)
    }
    last = current
    await sleep(WATCH_MS)
  }
}

/** A watcher outlives a sidecar that restarts. */
async function patiently(sidecar: Sidecar): Promise<Session[]> {
  for (;;) {
    try {
      return (await sidecar.call('ps', {})).map(told)
    } catch (error) {
      if (MeshError.from(error).code !== 'sidecar_down') throw error
      await sleep(WATCH_MS)
    }
  }
}

function differ(a: Map<string, string>, b: Map<string, string>): boolean {
  return a.size !== b.size || [...b].some(([name, text]) => a.get(name) !== text)
}
