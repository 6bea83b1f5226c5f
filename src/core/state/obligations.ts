/** The obligations of a session, from its ledger and the engine's records, the most pressing first. Pure. */
import type { RunRecord } from '../../wire/run.schema.ts'
import type { Task } from '../../wire/task.schema.ts'
import { isOver } from '../runs/run.ts'
import type { Ledger } from './ledger.ts'

export interface Obligation {
  kind: 'owed' | 'ask' | 'wait' | 'task' | 'run' | 'child' | 'claim' | 'parent' | 'said'
  /** Id of the message, run or task that it is about. */
  id: string | null
  /** The other session that it concerns. */
  with: string | null
  state: string
  /** Words for people. A peer's words and others that it did not choose itself are in `quote`. */
  text: string
  quote: string | null
  /** ISO 8601. */
  since: string | null
}

export interface Facts {
  me: string
  /** The run that the session is; null for a person at a shell. */
  ownRun: string | null
  ledger: Pick<Ledger, 'asks' | 'owed' | 'waits'>
  /** Tasks that may be its own. */
  tasks: readonly Task[]
  /** Runs that it owns, its own run among them or not. */
  runs: readonly RunRecord[]
  claims: readonly { path: string; since: string; until: string }[]
  /** The session that started it. */
  parent: string | null
  said: { id: string; to: string; at: number; text: string } | null
  /** Milliseconds. */
  now: number
}

/** A run that ended is shown for this long. */
const ENDED_MS = 3_600_000
const ENDED_RUNS = 5

export function obligationsOf(facts: Facts): Obligation[] {
  const { asks, owed, waits } = facts.ledger
  const runs = facts.runs.filter((run) => run.owner === facts.me && run.id !== facts.ownRun && !isItself(run))
  return [
    ...owed.map((one) => talk('owed', one, `an answer to ${one.with}`)),
    ...asks.map((one) => talk('ask', one, `an answer from ${one.with}`)),
    ...waits.map(({ what, at, isOpen }) =>
      duty('wait', { text: what, state: isOpen ? 'open' : 'interrupted', since: iso(at) }),
    ),
    ...facts.tasks.flatMap((task) => taskOf(task, facts.me)),
    ...runs.filter(({ state }) => !isOver(state)).map(runOf),
    ...facts.claims.map(({ path, since, until }) =>
      duty('claim', { text: `until ${until}`, quote: path, state: 'held', since }),
    ),
    ...endedOf(runs, facts.now).map(runOf),
    ...(facts.parent === null ? [] : [duty('parent', { with: facts.parent, text: facts.parent, state: 'parent' })]),
    ...(asks.some(({ id }) => id === facts.said?.id) ? [] : saidOf(facts.said)),
  ]
}

/** A session's own run of an earlier process: it was its own owner, under the name it had. No child has that name. */
function isItself({ runKind, name, owner, formerOwners = [] }: RunRecord): boolean {
  return runKind === 'session' && (name === owner || formerOwners.includes(name))
}

function duty(
  kind: Obligation['kind'],
  {
    id = null,
    with: who = null,
    quote = null,
    since = null,
    ...rest
  }: Partial<Obligation> & Pick<Obligation, 'text' | 'state'>,
): Obligation {
  return { kind, id, with: who, quote, since, ...rest }
}

function talk(kind: 'owed' | 'ask', one: Ledger['asks'][number], text: string): Obligation {
  return duty(kind, { id: one.id, with: one.with, state: 'open', text, quote: one.text, since: iso(one.at) })
}

function taskOf(task: Task, me: string): Obligation[] {
  const { id, title, state, claim, createdBy, createdAt } = task
  if (state === 'claimed' && claim?.holder.name === me)
    return [duty('task', { id, state, text: 'held by you', quote: title, since: claim.since })]
  if (createdBy.name !== me || !['open', 'claimed'].includes(state)) return []
  const who = claim?.holder.name ?? task.for ?? null
  const text = claim ? `held by ${claim.holder.name}` : task.for ? `open, for ${task.for}` : 'open'
  return [duty('task', { id, with: who, state, text: `you put it up: ${text}`, quote: title, since: createdAt })]
}

function runOf({ id, runKind, name, state, reason, startedAt, endedAt, text }: RunRecord): Obligation {
  const kind = runKind === 'session' ? 'child' : 'run'
  const why = [reason, text].filter((part) => part).join(', ')
  return duty(kind, {
    id,
    with: name,
    state,
    text: `${name} ${state}`,
    quote: why || null,
    since: endedAt ?? startedAt,
  })
}

function endedOf(runs: readonly RunRecord[], now: number): RunRecord[] {
  const ended = runs.filter(({ state, endedAt }) => isOver(state) && now - Date.parse(endedAt ?? '') < ENDED_MS)
  return ended.sort((a, b) => (a.endedAt! < b.endedAt! ? 1 : -1)).slice(0, ENDED_RUNS)
}

function saidOf(said: Facts['said']): Obligation[] {
  if (!said) return []
  return [
    duty('said', {
      id: said.id,
      with: said.to,
      state: 'said',
      text: `to ${said.to}`,
      quote: said.text,
      since: iso(said.at),
    }),
  ]
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
