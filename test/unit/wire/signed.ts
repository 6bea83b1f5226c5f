import { type Decoded, decodeEnvelope, encodeEnvelope, type Undecodable } from '../../../src/wire/codec.ts'
import type { Envelope } from '../../../src/wire/envelope.schema.ts'
import { parseRecipient } from '../../../src/wire/names.ts'
import { messageSubject } from '../../../src/wire/subjects.ts'
import { keyOf, project, testKey, unsigned } from '../../support/samples.ts'

export function subjectOf(message: Pick<Envelope, 'to' | 'from' | 'project'>): string {
  return messageSubject(message.project, parseRecipient(message.to), message.from)
}

export const subject = subjectOf(unsigned())

export function decode(value: unknown, on: string = subject) {
  const bytes =
    value instanceof Uint8Array ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return decodeEnvelope(project, on, bytes, keyOf)
}

export function undecodable(reason: Undecodable) {
  return { undecodable: reason }
}

/** A signed message as a plain object, to be bent. */
export function signed(over: Partial<Envelope> = {}, key = testKey): Record<string, unknown> & { sig: string } {
  return JSON.parse(Buffer.from(encodeEnvelope(unsigned(over), key)).toString())
}

export function verified(result: Decoded | { undecodable: Undecodable }): boolean {
  if ('undecodable' in result) throw new Error(result.undecodable)
  return result.verified
}
