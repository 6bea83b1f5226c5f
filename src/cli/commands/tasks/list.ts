/** `mesh task list`. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import type { Context, Switches, Values } from '../../command.ts'
import { parseChoice } from '../../input/units.ts'
import type { Output } from '../../output.ts'
import { onScreen } from '../../show/screen.ts'
import { screenOf, type View, type ViewFlags, viewOf } from '../../show/view.ts'
import { changedLines, listLines, type Row } from './lines.ts'

const AWAY_MS = 1000

const lists = ['open', 'mine', 'blocked', 'all'] as const
type Which = (typeof lists)[number]
interface Wanted {
  which: Which
  label?: string
}

const nothing: Record<Which, string> = {
  open: 'no open tasks; mesh task add TITLE puts one on the board',
  mine: 'you have no task and none is for you; mesh task claim --next takes one that is ready',
  blocked: 'no task is blocked',
  all: 'no tasks yet; mesh task add TITLE puts one on the board',
}

type Flags = Values<'label'> & Switches<'watch'> & ViewFlags

export async function run({ args, flags, out, sidecar: find }: Context<Flags>): Promise<undefined> {
  const which = parseChoice(args[0] ?? 'open', 'the list', lists)
  const wanted = { which, ...(flags.label !== undefined && { label: flags.label }) }
  const sidecar = find()
  if (flags.watch) return onScreen(out, () => watch(sidecar, wanted, flags, out))
  const tasks = await sidecar.call('task_list', wanted)
  if (out.json) await out.value(tasks)
  else await out.line(listing(tasks, wanted, viewOf(flags, Date.now())).join('\n'))
}

function listing(tasks: readonly Row[], { which, label }: Wanted, view: View): string[] {
  if (tasks.length > 0) return listLines(tasks, view)
  return [label === undefined ? nothing[which] : `no such tasks with the label ${label}`]
}

/** On a terminal the table is drawn again; else each change is a line (with JSON: the whole list). */
async function watch(sidecar: Sidecar, wanted: Wanted, flags: ViewFlags, out: Output): Promise<never> {
  let last: Row[] | null = null
  for (let since: number | undefined; ; ) {
    // First: what changes while the list is read is news.
    const news = since === undefined ? {} : { since }
    const { version, tasks } = await patiently(out, async () => {
      const { version } = await sidecar.call('task_news', news, { timeoutMs: 0 })
      return { version, tasks: await sidecar.call('task_list', wanted) }
    })
    since = version
    const view = viewOf(flags, Date.now())
    if (out.json) await (JSON.stringify(tasks) !== JSON.stringify(last) && out.value(tasks))
    else if (view.isScreen) await out.line(screenOf(listing(tasks, wanted, view)))
    else {
      const lines = last ? changedLines(last, tasks, view) : listing(tasks, wanted, view)
      for (const line of lines) await out.line(line)
    }
    last = tasks
  }
}

/** A watcher outlives an engine and a sidecar that restart. */
async function patiently<T>(out: Output, look: () => Promise<T>): Promise<T> {
  for (let isNoted = false; ; ) {
    try {
      return await look()
    } catch (error) {
      const { code, message } = MeshError.from(error)
      if (!['mesh_down', 'timeout', 'sidecar_down'].includes(code)) throw error
      if (!isNoted) out.note(`${message}; still watching`)
      isNoted = true
      await sleep(AWAY_MS)
    }
  }
}
