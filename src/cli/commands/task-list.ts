/** `mesh task list`. */
import type { Context } from '../context.ts'
import { misuse } from '../parse.ts'
import { listLines } from '../tasks.ts'

const CLEAR = '\x1b[H\x1b[2J'

type Which = 'open' | 'mine' | 'blocked' | 'all'

export async function run({ command, flags, out, sidecar: find }: Context): Promise<undefined> {
  const chosen = (['mine', 'blocked', 'allTasks'] as const).filter((flag) => flags[flag])
  if (chosen.length > 1) throw misuse(command, 'one of --mine, --blocked and --all')
  const which: Which = chosen[0] === 'allTasks' ? 'all' : (chosen[0] ?? 'open')
  const request = { which, ...(flags.label !== undefined && { label: flags.label }) }
  const sidecar = find()
  let since: number | undefined
  do {
    // First: what changes while the list is read is news.
    if (flags.watch)
      since = (await sidecar.call('task_news', since === undefined ? {} : { since }, { timeoutMs: 0 })).version
    const tasks = await sidecar.call('task_list', request)
    const clear = flags.watch && process.stdout.isTTY ? CLEAR : ''
    if (out.json) await out.value(tasks)
    else await out.line(clear + listLines(tasks).join('\n'))
  } while (flags.watch)
}
