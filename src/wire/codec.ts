/** Bytes ⇄ envelopes: the only parse of network bytes, and the only place that signs and verifies. Pure. */
import { type KeyObject, sign, verify } from 'node:crypto'
import type * as z from 'zod/mini'
import { MeshError } from '../errors.ts'
import { type Envelope, envelope } from './envelope.schema.ts'
import { limits } from './limits.ts'
import { formatRecipient, parseRecipient, quote } from './names.ts'
import { type EventType, type RunEvent, runEvent, terminalType } from './run.schema.ts'
import {
  EVENT_SIGNING_CONTEXT,
  type EventPhase,
  parseEventSubject,
  parseMessageSubject,
  SIGNING_CONTEXT,
} from './subjects.ts'

/** 64 bytes in base64url. Buffer.from would skip foreign characters instead of refusing them. */
const SIGNATURE = /^[A-Za-z0-9_-]{86}$/

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/**
 * The canonical form: JSON without white space, keys in code-unit order, as RFC 8785 for the values that mesh uses
 * (strings, booleans, safe integers). Unknown fields take part, so a newer sender's signature still verifies.
 */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

function signedBytes(fields: object, context: string): Buffer {
  const { sig: _, ...rest } = fields as { sig?: unknown }
  return Buffer.from(context + canonical(rest))
}

function signed(fields: object, key: KeyObject, context: string): Buffer {
  const sig = sign(null, signedBytes(fields, context), key).toString('base64url')
  return Buffer.from(JSON.stringify({ ...fields, sig }))
}

/** Signs and serialises. `key` is the member's Ed25519 private key. Throws `too_large`. */
export function encodeEnvelope(message: Omit<Envelope, 'sig'>, key: KeyObject): Uint8Array {
  const bytes = signed(message, key, SIGNING_CONTEXT)
  if (bytes.length > limits.envelopeBytes) {
    throw new MeshError(
      'too_large',
      `the message is ${bytes.length} bytes on the wire, the limit is ${limits.envelopeBytes}`,
    )
  }
  return bytes
}

export interface Decoded {
  envelope: Envelope
  /** The signature is the pinned key's of the member the message says it is from. */
  verified: boolean
}

export type Undecodable = 'too_large' | 'bad_json' | 'unsupported' | 'bad_shape' | 'wrong_subject'

/**
 * Reads a message that arrived on `subject`. `keyOf` gives the pinned public key of a member.
 * A bad, missing or foreign signature is not an error: the message reads as not verified.
 */
export function decodeEnvelope(
  project: string,
  subject: string,
  bytes: Uint8Array,
  keyOf: (member: string) => KeyObject | undefined,
): Decoded | { undecodable: Undecodable } {
  const route = parseMessageSubject(project, subject)
  if (!route) return { undecodable: 'wrong_subject' }
  if (bytes.length > limits.envelopeBytes) return { undecodable: 'too_large' }
  const raw = parseJson(bytes)
  if (raw === undefined || raw === null || typeof raw !== 'object' || Array.isArray(raw))
    return { undecodable: 'bad_json' }
  if (raw.v !== 1 || raw.kind !== 'message') return { undecodable: 'unsupported' }
  const parsed = envelope.safeParse(raw)
  if (!parsed.success) return { undecodable: 'bad_shape' }
  const message = parsed.data
  const agrees =
    message.project === project &&
    message.from.member === route.from.member &&
    message.from.name === route.from.name &&
    formatRecipient(parseRecipient(message.to)) === formatRecipient(route.to)
  if (!agrees) return { undecodable: 'wrong_subject' }
  return { envelope: message, verified: verifies(raw, keyOf(message.from.member), SIGNING_CONTEXT) }
}

function verifies(raw: { [key: string]: Json }, key: KeyObject | undefined, context: string): boolean {
  if (!key || typeof raw.sig !== 'string' || !SIGNATURE.test(raw.sig)) return false
  return verify(null, signedBytes(raw, context), key, Buffer.from(raw.sig, 'base64url'))
}

/** Signs and serialises a run's event. `key` is the member's Ed25519 private key. Throws `too_large`. */
export function encodeEvent(event: Omit<RunEvent, 'sig'>, key: KeyObject): Uint8Array {
  const bytes = signed(event, key, EVENT_SIGNING_CONTEXT)
  if (bytes.length <= limits.runEventBytes) return bytes
  throw new MeshError('too_large', `the event is ${bytes.length} bytes, the limit is ${limits.runEventBytes}`)
}

export interface DecodedEvent {
  event: RunEvent
  /** The signature is the pinned key's of the member the event says it is from. */
  verified: boolean
}

/** Reads an event that arrived on `subject`, which must agree with it. As `decodeEnvelope`. */
export function decodeEvent(
  project: string,
  subject: string,
  bytes: Uint8Array,
  keyOf: (member: string) => KeyObject | undefined,
): DecodedEvent | { undecodable: Undecodable } {
  const route = parseEventSubject(project, subject)
  if (!route) return { undecodable: 'wrong_subject' }
  if (bytes.length > limits.runEventBytes) return { undecodable: 'too_large' }
  const raw = parseJson(bytes)
  if (raw === undefined || raw === null || typeof raw !== 'object' || Array.isArray(raw))
    return { undecodable: 'bad_json' }
  if (raw.v !== 1 || raw.kind !== 'run_event') return { undecodable: 'unsupported' }
  const parsed = runEvent.safeParse(raw)
  if (!parsed.success) return { undecodable: 'bad_shape' }
  const event = parsed.data
  const agrees =
    event.project === project &&
    event.owner === route.owner &&
    event.run === route.run &&
    phaseOf(event.type) === route.phase &&
    event.from.member === route.from.member &&
    event.from.name === route.from.name
  if (!agrees) return { undecodable: 'wrong_subject' }
  return { event, verified: verifies(raw, keyOf(event.from.member), EVENT_SIGNING_CONTEXT) }
}

/** Under which half of a run's subjects an event belongs. */
export function phaseOf(type: EventType): EventPhase {
  return terminalType.safeParse(type).success ? 'end' : 'step'
}

/** Parses one value of a given kind (a KV value, a receipt); null if it is not one. */
export function decodeRecord<S extends z.ZodMiniType>(schema: S, bytes: Uint8Array): z.output<S> | null {
  const parsed = schema.safeParse(parseJson(bytes))
  return parsed.success ? parsed.data : null
}

/** True for a record that a later version of mesh wrote: it is to be left alone, unlike garbage. */
export function isOfLaterVersion(bytes: Uint8Array): boolean {
  const value = parseJson(bytes)
  if (value === undefined || value === null || typeof value !== 'object' || Array.isArray(value)) return false
  return typeof value.v === 'number' && value.v > 1
}

export function encodeRecord(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

/** JSON from outside: strict UTF-8, bounded depth; undefined if it is not JSON. */
export function parseJson(bytes: Uint8Array): Json | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    if (depthExceeds(text, limits.jsonDepth)) return undefined
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** Before the parser allocates anything. What opens fewer brackets than that cannot be deeper, which costs no loop. */
function depthExceeds(text: string, max: number): boolean {
  return opens(text, max) > max && depthIsOver(text, max)
}

/** Counts `{` and `[`, up to a little more than `max`. */
function opens(text: string, max: number): number {
  let count = 0
  for (const bracket of '{[') {
    for (let at = text.indexOf(bracket); at >= 0 && count <= max; at = text.indexOf(bracket, at + 1)) count++
  }
  return count
}

function depthIsOver(text: string, max: number): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (inString) {
      if (c === 0x5c) i++
      else if (c === 0x22) inString = false
    } else if (c === 0x22) inString = true
    else if (c === 0x5b || c === 0x7b) {
      if (++depth > max) return true
    } else if (c === 0x5d || c === 0x7d) depth--
  }
  return false
}

/** A text as bytes for the wire. Lone surrogates are refused: they have no UTF-8 form. Throws `bad_request`, `too_large`. */
export function checkText(text: string): Buffer {
  if (!text.isWellFormed())
    throw new MeshError('bad_request', `the text is not valid Unicode near ${quote(nearSurrogate(text))}`)
  const bytes = Buffer.from(text)
  if (bytes.length > limits.bodyBytes) {
    throw new MeshError('too_large', `the text is ${bytes.length} bytes, the limit is ${limits.bodyBytes}`)
  }
  return bytes
}

function nearSurrogate(text: string): string {
  const at = text.search(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/)
  return text.slice(Math.max(0, at - 10), at + 10)
}
