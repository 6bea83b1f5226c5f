/**
 * `mesh __complete WORDS`: prints what may stand in the place of the last word, one candidate a line with a tab and what
 * it is, or `:files` where the shell should offer files. For the scripts of `mesh completion`: it is quick, starts
 * nothing, and prints nothing when something is wrong.
 */
import { createContext, workingDirectory } from '../context.ts'
import { type Ask, findLiving } from '../living.ts'
import { oneLine } from '../show/columns.ts'
import { overview } from '../table.ts'
import { type Candidate, type Kind, wantedAt } from './words.ts'

/** Limits all calls together. A sidecar answers within a few milliseconds, unless it is frozen. */
const ANSWER_MS = 250
const ABOUT_CHARS = 60
const RUN_DIGITS = 12
const TASK_DIGITS = 10

export async function complete(words: readonly string[]): Promise<number> {
  const current = words.at(-1) ?? ''
  try {
    const { candidates, kinds } = wantedAt(words)
    if (kinds.includes('files')) process.stdout.write(':files\n')
    const dynamic = kinds.filter((kind) => kind !== 'files')
    const named = dynamic.length > 0 ? await namesOf(dynamic, words, current) : []
    const found = [...candidates, ...named].filter(([word]) => word.startsWith(current))
    process.stdout.write(found.map(([word, about]) => `${word}\t${summary(about)}\n`).join(''))
  } catch {
    // An error would be printed into the line that a person types.
  }
  return 0
}

async function namesOf(kinds: readonly Kind[], words: readonly string[], current: string): Promise<Candidate[]> {
  const at = words.indexOf('--as')
  const as = at < 0 || at + 2 >= words.length ? {} : { as: words[at + 1]! }
  const parsed = { command: overview, args: [], flags: as, text: null, stdin: false, help: false }
  const { home, sidecar } = createContext(parsed, process.env, workingDirectory)
  const ask = await findLiving(home, sidecar().target, ANSWER_MS)
  if (!ask) return []
  return (await Promise.all(kinds.map((kind) => kindsOf[kind](ask, current)))).flat()
}

const kindsOf: Record<Kind, (ask: Ask, current: string) => Promise<readonly Candidate[]>> = {
  sessions,
  gone: (ask) => sessions(ask, '', true),
  recipients,
  runs,
  tasks,
  files: async () => [],
}

async function sessions(ask: Ask, _current: string, isGone = false): Promise<Candidate[]> {
  const all = (await ask('ps', {})) ?? []
  return all.filter(({ status }) => (status === 'gone') === isGone).map(({ name, status }) => [name, status])
}

async function recipients(ask: Ask): Promise<Candidate[]> {
  const [names, topics, roles] = await Promise.all([sessions(ask, ''), ask('topic_list', {}), ask('role_list', {})])
  return [
    ...names,
    ...(topics ?? []).map(({ name }): Candidate => [`topic:${name}`, 'a topic']),
    ...(roles ?? []).filter(({ name }) => name !== 'operator').map(({ name }): Candidate => [`role:${name}`, 'a role']),
    ['operator', 'the people of this project'],
    ['@all', 'every session of this project'],
  ]
}

/** By name; by ID for what looks like one. */
async function runs(ask: Ask, current: string): Promise<Candidate[]> {
  const all = (await ask('runs', {})) ?? []
  if (current.startsWith('r_'))
    return all.map(({ runId, name, state }) => [shortId(runId, current, RUN_DIGITS), `${name}, ${state}`])
  const newest = new Map(all.map(({ name, state, owner }) => [name, `${state}, of ${owner}`]))
  return [...newest]
}

async function tasks(ask: Ask, current: string): Promise<Candidate[]> {
  const open = (await ask('task_list', { which: 'open' })) ?? []
  return open.map(({ id, title }) => [shortId(id, current, TASK_DIGITS), title])
}

/** A beginning of an ID that commands take; longer where more was typed. */
function shortId(id: string, current: string, digits: number): string {
  return id.slice(0, Math.max(digits, current.length))
}

function summary(about: string): string {
  const line = oneLine(about.split(/: |; | \(|\. /)[0]!)
  return line.length > ABOUT_CHARS ? `${line.slice(0, ABOUT_CHARS - 1)}…` : line
}
