/** Builds and parses every subject; the protocol's root appears only here. The sender is in the subject. Pure. */
import type { Recipient } from './names.ts'
import { isMessageId, isName, isRunId, isToken } from './names.ts'

const ROOT = 'mesh.v1'

/** Put before what is signed, so that a signature given for another purpose never fits. */
export const SIGNING_CONTEXT = `${ROOT} envelope\n`
export const EVENT_SIGNING_CONTEXT = `${ROOT} run_event\n`

export const projectPattern = /^[a-z0-9][a-z0-9_-]{0,79}$/

/** True for a project id: it stands in subjects, stream and bucket names and paths. */
export function isProject(value: string): boolean {
  return projectPattern.test(value)
}

export interface Sender {
  member: string
  name: string
}

/** The subject a message to `to` is published on. */
export function messageSubject(project: string, to: Recipient, from: Sender): string {
  const target = to.kind === 'all' ? 'all' : `${to.kind === 'session' ? 'msg' : to.kind}.${to.name}`
  return `${ROOT}.${project}.${target}.${from.member}.${from.name}`
}

/** Filters of a session's mail: its own, its topics and `@all`. Roles are read through `roleFilter`. */
export function mailFilters(project: string, name: string, topics: readonly string[]): string[] {
  return [
    `${ROOT}.${project}.msg.${name}.>`,
    `${ROOT}.${project}.all.>`,
    ...topics.map((topic) => `${ROOT}.${project}.topic.${topic}.>`),
  ]
}

export function roleFilter(project: string, role: string): string {
  return `${ROOT}.${project}.role.${role}.>`
}

/** Subjects of the messages stream. */
export function messageStreamSubjects(project: string): string[] {
  return ['msg', 'topic', 'role', 'all'].map((kind) => `${ROOT}.${project}.${kind}.>`)
}

/** Reads a message subject; null if it is not one of this project. */
export function parseMessageSubject(project: string, subject: string): { to: Recipient; from: Sender } | null {
  const prefix = `${ROOT}.${project}.`
  if (!subject.startsWith(prefix)) return null
  const [kind, ...rest] = subject.slice(prefix.length).split('.')
  const name = kind === 'all' ? undefined : rest.shift()
  const [member, from] = rest
  if (rest.length !== 2 || !member || !from || !isToken(member) || !isName(from)) return null
  if (kind === 'all') return { to: { kind }, from: { member, name: from } }
  if (!name || !isToken(name)) return null
  if (kind === 'msg') return isName(name) ? { to: { kind: 'session', name }, from: { member, name: from } } : null
  if (kind === 'topic' || kind === 'role') return { to: { kind, name }, from: { member, name: from } }
  return null
}

/** The subject of a receipt: `to` is the sender of message `id`, `from` is who saw it. */
export function receiptSubject(project: string, to: string, id: string, state: string, from: Sender): string {
  return `${ROOT}.${project}.rcpt.${to}.${id}.${state}.${from.member}.${from.name}`
}

export function receiptFilter(project: string, scope: { to?: string; id?: string; state?: string } = {}): string {
  const state = scope.state === undefined ? '' : `${scope.state}.`
  return `${ROOT}.${project}.rcpt.${scope.to ?? '*'}.${scope.id ?? '*'}.${state}>`
}

export function receiptStreamSubjects(project: string): string[] {
  return [`${ROOT}.${project}.rcpt.>`]
}

export function parseReceiptSubject(
  project: string,
  subject: string,
): { to: string; id: string; state: string; from: Sender } | null {
  const prefix = `${ROOT}.${project}.rcpt.`
  if (!subject.startsWith(prefix)) return null
  const [to, id, state, member, name, ...rest] = subject.slice(prefix.length).split('.')
  if (!to || !id || !state || !member || !name || rest.length > 0) return null
  if (!isName(to) || !isMessageId(id) || !isToken(state) || !isToken(member) || !isName(name)) return null
  return { to, id, state, from: { member, name } }
}

/** The part of a run's subjects: `end` for its last event. */
export type EventPhase = 'step' | 'end'

/** The subject of a run's event: `owner` is notified, `from` saw it. */
export function eventSubject(project: string, owner: string, run: string, phase: EventPhase, from: Sender): string {
  return `${ROOT}.${project}.evt.${owner}.${run}.${phase}.${from.member}.${from.name}`
}

/** Events of all runs, or of an owner's, of one run, its ends only. */
export function eventFilter(project: string, scope: { owner?: string; run?: string; phase?: EventPhase } = {}): string {
  const { owner = '*', run = '*', phase = '*' } = scope
  return `${ROOT}.${project}.evt.${owner}.${run}.${phase}.>`
}

/** The subjects on which the engine republishes events once they are stored; their own subjects are heard before. */
export function storedEventFilter(project: string, scope: Parameters<typeof eventFilter>[1] = {}): string {
  return changeSubject(project, 'events', eventFilter(project, scope).slice(`${ROOT}.${project}.evt.`.length))
}

export function eventStreamSubjects(project: string): string[] {
  return [`${ROOT}.${project}.evt.>`]
}

/** Reads an event's subject; null if it is not one of this project. */
export function parseEventSubject(
  project: string,
  subject: string,
): { owner: string; run: string; phase: EventPhase; from: Sender } | null {
  const prefix = `${ROOT}.${project}.evt.`
  if (!subject.startsWith(prefix)) return null
  const [owner, run, phase, member, name, ...rest] = subject.slice(prefix.length).split('.')
  if (!owner || !run || !member || !name || rest.length > 0 || (phase !== 'step' && phase !== 'end')) return null
  if (!isName(owner) || !isRunId(run) || !isToken(member) || !isName(name)) return null
  return { owner, run, phase, from: { member, name } }
}

/** The subject on which the engine republishes a change of a record once it is stored; `key` is a key or `>`. */
export function changeSubject(project: string, bucket: 'names' | 'presence' | 'tasks' | 'events', key: string): string {
  return `${ROOT}.${project}.changed.${bucket}.${key}`
}

/** Names of the project's streams and buckets. */
export function storeNames(project: string) {
  return {
    messages: `mesh_${project}_msg`,
    receipts: `mesh_${project}_rcpt`,
    names: `mesh_${project}_names`,
    presence: `mesh_${project}_presence`,
    surfaced: `mesh_${project}_surfaced`,
    takers: `mesh_${project}_takers`,
    objects: `mesh_${project}_obj`,
    members: `mesh_${project}_members`,
    tasks: `mesh_${project}_tasks`,
    claims: `mesh_${project}_claims`,
    edits: `mesh_${project}_edits`,
    events: `mesh_${project}_evt`,
    runs: `mesh_${project}_runs`,
    state: `mesh_${project}_state`,
    documents: `mesh_${project}_doc`,
  } as const
}
