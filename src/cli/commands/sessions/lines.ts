/** Sessions as people read them at a terminal. */
import { homedir } from 'node:os'
import type { Session } from '../../../api/ops.schema.ts'
import { version } from '../../../client/version.ts'
import { causeWords } from '../../../wire/cause.ts'
import { paint } from '../../show/colour.ts'
import { columns, indent, oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'
import type { View } from '../../show/view.ts'
import { fit } from '../../show/width.ts'

const TITLES = ['NAME', 'STATUS', 'ACTIVE', 'UNREAD', 'WAKE', 'HARNESS', 'HOST', 'CWD']
/** Columns that a terminal shows with --verbose; the host also where there are several. */
const INNER = new Set(['WAKE', 'HARNESS', 'HOST'])
const NOTE_INDENT = 2
const colours: Record<string, string> = {
  busy: '33',
  idle: '32',
  waiting: '36',
  failed: '31',
  lost: '31',
  unreachable: '31',
  gone: '2',
}

/** Returns the table. On a terminal those that are gone are one line, unless `all` is set. */
export function sessionLines(sessions: readonly Session[], view: View, all: boolean): string[] {
  if (sessions.length === 0) return ['no sessions in this project']
  const isFolded = view.isScreen && !all
  const shown = isFolded ? sessions.filter(({ status }) => status !== 'gone') : sessions
  const gone = sessions.length - shown.length
  return [...(shown.length > 0 ? table(shown, view) : []), ...(gone > 0 ? [`${gone} gone, mesh ps --all`] : [])]
}

/** Returns one row per session, without a header, for a watch that is read as a log. */
export function changedLines(sessions: readonly Session[], view: View): string[] {
  return columns(sessions.map((session) => withNotes(cells(session, view.now), notesOf(session, view.now))))
}

function table(sessions: readonly Session[], view: View): string[] {
  const rows = sessions.map((session) => cells(session, view.now))
  const colour = (row: number) => colours[sessions[row]!.status]
  if (!view.isScreen) return columns([TITLES, ...rows.map((row, i) => withNotes(row, notesOf(sessions[i]!, view.now)))])
  const isSpread = new Set(sessions.map(({ host }) => host)).size > 1
  const isKept = (title: string) => view.full || !INNER.has(title) || (title === 'HOST' && isSpread)
  const kept = [...TITLES.keys()].filter((i) => isKept(TITLES[i]!))
  const [head, ...lines] = paint(
    columns(
      [TITLES, ...rows.map(withShortPath)].map((row) => kept.map((i) => row[i]!)),
      view.width,
    ),
    colour,
  )
  return [head!, ...lines.flatMap((line, i) => [line, ...notesBelow(sessions[i]!, view)])]
}

function cells({ name, status, lastActivityAt, endedAt, unread, harness, host, cwd, doors }: Session, now: number) {
  const active = `${ago(endedAt ?? lastActivityAt, now)} ago`
  return [name, status, active, String(unread ?? '-'), wakeOf(doors, now), harness, host, cwd].map(oneLine)
}

function withNotes(row: readonly string[], notes: readonly string[]): string[] {
  return [...row.slice(0, -1), `${row.at(-1)}${notes.map((note) => ` (${oneLine(note)})`).join('')}`]
}

function notesBelow(session: Session, view: View): string[] {
  return notesOf(session, view.now).map((note) => indent(fit(oneLine(note), view.width - NOTE_INDENT)))
}

function withShortPath(row: readonly string[]): string[] {
  const path = row.at(-1)!
  const home = homedir()
  return [...row.slice(0, -1), path === home || path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path]
}

const MUTE = 'hears but cannot speak: a sandbox shuts its commands in, mesh doctor'

function notesOf(session: Session, now: number): string[] {
  const { name, reason, cause, since, budget = [], speaks, title, version: theirs = version } = session
  const holds = budget.filter(({ held }) => held > 0).map((pair) => `${pair.held} held from ${pair.with}`)
  const held = holds.length > 0 ? [`${holds.join(', ')}: mesh budget resume ${name}`] : []
  const titled = title && title !== name ? [`titled ${title}`] : []
  const older = theirs === version ? [] : [`of mesh ${theirs}`]
  const why = reason ? [reason] : []
  const doing = cause ? [`${causeWords(cause)}${since ? `, ${ago(since, now)}` : ''}`] : []
  return [...titled, ...older, ...why, ...doing, ...(speaks === false ? [MUTE] : []), ...inboundOf(session), ...held]
}

function inboundOf({ name, inbound, held = 0 }: Session): string[] {
  if (inbound === 'refuse') return ['refuses messages of other sessions (inbound)']
  if (inbound !== 'hold') return []
  return [held > 0 ? `inbound: ${held} held: mesh budget resume ${name}` : 'holds messages of other sessions (inbound)']
}

/** The door that a message would go through now, and whether one did. An older sidecar knows no doors. */
function wakeOf(doors: Session['doors'] | undefined, now: number): string {
  const [best] = (doors ?? []).filter(({ state }) => state !== 'none')
  if (!best) return 'none'
  return best.provenAt ? `${best.name} proven ${ago(best.provenAt, now)} ago` : `${best.name} available`
}
