/** `mesh ps`: the sessions of the project. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Session } from '../../../api/ops.schema.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { told } from '../../../wire/cause.ts'
import type { Context, Switches } from '../../command.ts'
import type { Output } from '../../output.ts'
import { oneLine } from '../../show/columns.ts'
import { screenOf, type ViewFlags, viewOf } from '../../show/view.ts'
import { runListing } from '../runs/lines.ts'
import { changedLines, sessionLines } from './lines.ts'

const WATCH_MS = 1000

type Flags = Switches<'runs' | 'watch' | 'all'> & ViewFlags

export async function run({ flags, out, sidecar: find }: Context<Flags>): Promise<undefined> {
  const sidecar = find()
  if (flags.runs) {
    const runs = await sidecar.call('runs', {})
    if (out.json) await out.value(runs)
    else await out.line(runListing(runs, viewOf(flags, Date.now())).join('\n'))
    return
  }
  if (flags.watch) return watch(sidecar, flags, out)
  const sessions = (await sidecar.call('ps', {})).map(told)
  if (out.json) await out.value(sessions)
  else await out.line(sessionLines(sessions, viewOf(flags, Date.now()), flags.all === true).join('\n'))
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
