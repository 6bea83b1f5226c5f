/** The grammar of names and ids, and of recipients. Pure. */
import { randomBytes } from 'node:crypto'
import { MeshError } from '../errors.ts'
import { limits } from './limits.ts'

const RESERVED = new Set(['all', 'operator', 'topic', 'role'])
const ID_BITS = 128
/** A child's name is made of its parent's, and of enough of its run's id to differ from its siblings. */
const PARENT_CHARS = 48
const ID_DIGITS = 4
const TOKEN = `[a-z0-9][a-z0-9_-]{0,${limits.name - 1}}`
/**
 * White space, controls, format characters, fillers, variation selectors and half characters, as a class for readers
 * without Unicode properties. What is outside the basic plane has two halves.
 */
const UNSEEN = [
  '\\s\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f',
  '\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ud800-\\udfff\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\uffff',
].join('')
const NAME = `(?!(?:[mrt]_|(?:${[...RESERVED].join('|')})$))${TOKEN}`

export type IdKind = 'm' | 'r' | 't'

/** The grammar as whole-string patterns, which JSON Schema can carry to readers in other languages. */
export const patterns = {
  token: new RegExp(`^${TOKEN}$`),
  name: new RegExp(`^${NAME}$`),
  messageId: new RegExp(`^m_[0-9a-f]{${ID_BITS / 4}}$`),
  stateKey: new RegExp(`^[^${UNSEEN}]{1,${limits.stateKey}}$`),
  taskId: new RegExp(`^t_[0-9a-f]{${ID_BITS / 4}}$`),
  assignee: new RegExp(`^(?:role:${TOKEN}|${NAME})$`),
  runId: new RegExp(`^r_[0-9a-f]{${ID_BITS / 4}}$`),
  eventId: new RegExp(`^r_[0-9a-f]{${ID_BITS / 4}}\\.[1-9][0-9]{0,14}$`),
  /** A line that hides nothing: neither control nor bidirectional characters. */
  title: /^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u,
  recipient: new RegExp(`^(?:@all|operator|(?:topic|role):${TOKEN}|${NAME})$`),
} as const

/** True for a token that may stand in a subject: a member, topic or role name. */
export function isToken(value: string): boolean {
  return patterns.token.test(value)
}

/** True for a session name: a token that neither looks like an id nor is reserved. */
export function isName(value: string): boolean {
  return patterns.name.test(value)
}

/** Throws `bad_name` unless `value` is a session name. */
export function checkName(value: string): string {
  if (isName(value)) return value
  const reason = RESERVED.has(value) ? 'is reserved' : 'is not a session name'
  throw new MeshError('bad_name', `${quote(value)} ${reason}`)
}

/** Throws `bad_name` unless `value` is a topic or role name. */
export function checkToken(value: string, what: 'topic' | 'role' | 'member'): string {
  if (isToken(value)) return value
  throw new MeshError('bad_name', `${quote(value)} is not a ${what} name`)
}

/** Makes a session name out of any text (a branch, a login name); `session` if nothing fits. */
export function toName(text: string): string {
  const slug = slugOf(text, limits.name - 8)
  if (slug === '') return 'session'
  return isName(slug) ? slug : slugOf(`s-${slug}`, limits.name - 8)
}

/** Lower-case letters, digits and dashes out of any text, at most `max` characters; may be empty. */
export function slugOf(text: string, max: number): string {
  return text
    .slice(0, 1024)
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, max)
    .replace(/[-_]+$/, '')
}

/** The n-th variant of a taken name: `api`, `api-2`, `api-3`, within the length limit. */
export function suffixed(name: string, n: number): string {
  if (n <= 1) return name
  const suffix = `-${n}`
  return name.slice(0, limits.name - suffix.length) + suffix
}

/** The name of a child session for which nobody chose one: its parent's, and the first digits of its run. */
export function childName(parent: string, run: string): string {
  return `${parent.slice(0, PARENT_CHARS)}${childSuffix(run)}`
}

/** Returns true for a name that `childName` made for this run. */
export function isUnnamedChild(name: string, run: string): boolean {
  return name.endsWith(childSuffix(run))
}

function childSuffix(run: string): string {
  return `-${run.slice(2, 2 + ID_DIGITS)}`
}

/** A fresh id, for example `m_` and 128 random bits in hex. */
export function newId(kind: IdKind): string {
  return `${kind}_${randomBytes(ID_BITS / 8).toString('hex')}`
}

/** A fresh operation id: 128 random bits in hex. Two tries of one change have the same. */
export function newOperation(): string {
  return randomBytes(ID_BITS / 8).toString('hex')
}

export function isMessageId(value: string): boolean {
  return patterns.messageId.test(value)
}

export function isRunId(value: string): boolean {
  return patterns.runId.test(value)
}

export type Recipient =
  | { kind: 'session'; name: string }
  | { kind: 'topic'; name: string }
  | { kind: 'role'; name: string }
  | { kind: 'all' }

/** Reads `NAME`, `topic:T`, `role:R`, `@all` or `operator` (which is `role:operator`). Throws `bad_name`. */
export function parseRecipient(text: string): Recipient {
  if (text === '@all') return { kind: 'all' }
  if (text === 'operator') return { kind: 'role', name: 'operator' }
  if (text.startsWith('topic:')) return { kind: 'topic', name: checkToken(text.slice(6), 'topic') }
  if (text.startsWith('role:')) return { kind: 'role', name: checkToken(text.slice(5), 'role') }
  return { kind: 'session', name: checkName(text) }
}

/** The inverse of `parseRecipient`. */
export function formatRecipient(to: Recipient): string {
  if (to.kind === 'all') return '@all'
  return to.kind === 'session' ? to.name : `${to.kind}:${to.name}`
}

/** Has no glyph, or turns the line around. */
const HIDDEN =
  /\u034f|[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u17b4\u17b5\u3164\uffa0]|[\ufe00-\ufe0f]|[\u{e0000}-\u{e0fff}]/gu

/** A value as shown in an error: short, quoted, in its own letters, without what hides. */
export function quote(value: string): string {
  const short = value.length > 80 ? `${value.slice(0, 77)}...` : value
  return JSON.stringify(short).replace(HIDDEN, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`)
}
