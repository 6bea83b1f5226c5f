/** `mesh ps`: the sessions of the project. */
import type { Session } from '../../../api/ops.schema.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import type { Context, Switches } from '../../command.ts'
import { ago, columns, oneLine } from '../../input/units.ts'
import type { Output } from '../../output.ts'
import { paint } from '../../show/colour.ts'
import { runListing } from '../runs/lines.ts'

const WATCH_MS = 1000
const CLEAR = '\x1b[H\x1b[2J'
const colours: Record<string, string> = {
  busy: '33',
  idle: '32',
  waiting: '36',
  lost: '31',
  unreachable: '31',
  gone: '2',
}

export async function run({ flags, out, sidecar: find }: Context<Switches<'runs' | 'watch'>>): Promise<undefined> {
  const sidecar = find()
  if (flags.runs) {
    const runs = await sidecar.call('runs', {})
    return out.json
      ? out.value(runs).then(() => undefined)
      : out.line(runListing(runs).join('\n')).then(() => undefined)
  }
  if (flags.watch) return watch(sidecar, out)
  const sessions = await sidecar.call('ps', {})
  if (out.json) await out.value(sessions)
  else await out.line(listing(sessions).join('\n'))
}

function listing(sessions: readonly Session[]): string[] {
  if (sessions.length === 0) return ['no sessions in this project']
  return paint(
    columns([['NAME', 'STATUS', 'ACTIVE', 'UNREAD', 'WAKE', 'HARNESS', 'HOST', 'CWD'], ...sessions.map(row)]),
    (row) => colours[sessions[row]!.status],
  )
}

function row(session: Session): string[] {
  const { name, status, lastActivityAt, unread, harness, host, cwd } = session
  const active = `${ago(lastActivityAt, Date.now())} ago`
  const words = [name, status, active, String(unread ?? '-'), wakeOf(session), harness, host, cwd]
  const shown = words.map(oneLine)
  const notes = notesOf(session).map((note) => ` (${oneLine(note)})`)
  return [...shown.slice(0, -1), `${shown.at(-1)}${notes.join('')}`]
}

function notesOf({ name, reason, budget = [] }: Session): string[] {
  const holds = budget.filter(({ held }) => held > 0).map((pair) => `${pair.held} held from ${pair.with}`)
  const held = holds.length > 0 ? [`${holds.join(', ')}: mesh budget resume ${name}`] : []
  return reason ? [reason, ...held] : held
}

/** The door that a message would go through now, and whether one did. */
function wakeOf({ doors }: Session): string {
  // An older sidecar tells none.
  const [best] = (doors ?? []).filter(({ state }) => state !== 'none')
  if (!best) return 'none'
  return best.provenAt ? `${best.name} proven ${ago(best.provenAt, Date.now())} ago` : `${best.name} available`
}

/** On a terminal the table is drawn again; else each change is a line (with JSON: the whole list). */
async function watch(sidecar: Sidecar, out: Output): Promise<never> {
  let last = new Map<string, string>()
  for (;;) {
    const sessions = await patiently(sidecar)
    const current = new Map(sessions.map((session) => [session.name, JSON.stringify(session)]))
    if (process.stdout.isTTY && !out.json) await out.line(CLEAR + listing(sessions).join('\n'))
    else if (out.json) await (differ(last, current) && out.value(sessions))
    else for (const line of changes(last, current, sessions)) await out.line(line)
    last = current
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS))
  }
}

/** A watcher outlives a sidecar that restarts. */
async function patiently(sidecar: Sidecar): Promise<Session[]> {
  for (;;) {
    try {
      return await sidecar.call('ps', {})
    } catch (error) {
      if (MeshError.from(error).code !== 'sidecar_down') throw error
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS))
    }
  }
}

function differ(a: Map<string, string>, b: Map<string, string>): boolean {
  return a.size !== b.size || [...b].some(([name, text]) => a.get(name) !== text)
}

function changes(last: Map<string, string>, current: Map<string, string>, sessions: readonly Session[]): string[] {
  const changed = sessions.filter(({ name }) => last.get(name) !== current.get(name))
  const removed = [...last.keys()].filter((name) => !current.has(name))
  return [...columns(changed.map(row)), ...removed.map((name) => `${oneLine(name)}  forgotten`)]
}
