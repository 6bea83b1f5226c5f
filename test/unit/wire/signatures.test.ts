/** Signatures of envelopes: who is believed and who is shown as not verified. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { canonical, decodeEnvelope } from '../../../src/wire/codec.ts'
import type { Envelope } from '../../../src/wire/envelope.schema.ts'
import { keyOf, testKey, unsigned } from '../../support/samples.ts'
import { decode, signed, subjectOf, undecodable, verified } from './signed.ts'

const foreignKey = generateKeyPairSync('ed25519').privateKey

describe('signatures', () => {
  test('a missing, empty, foreign, cut or decorated one is not verified, and not an error', () => {
    const message = signed()
    const bad = [
      undefined,
      '',
      'x',
      'A'.repeat(86),
      message.sig.slice(1),
      `${message.sig}=`,
      `${message.sig}!`,
      `!${message.sig}`,
    ]
    for (const sig of bad) expect(verified(decode({ ...message, sig })), String(sig)).toBe(false)
    expect(verified(decode(signed({}, foreignKey)))).toBe(false)
    expect(verified(decode(message))).toBe(true)
  })

  test('a member without a pinned key is not verified', () => {
    const stranger = { member: 'constructor', name: 'api', epoch: 1 }
    expect(verified(decode(signed({ from: stranger }), subjectOf(unsigned({ from: stranger }))))).toBe(false)
  })

  test.each([
    ['id', 'm_ffeeddccbbaa99887766554433221100'],
    ['seq', 2],
    ['sentAt', '2026-11-20T10:00:00.001Z'],
    ['hops', 1],
    ['body', { text: 'ho' }],
    ['body', { text: 'hi', extra: 1 }],
    ['thread', 'added'],
    ['intent', 'request'],
    ['replyTo', 'm_ffeeddccbbaa99887766554433221100'],
    ['from', { member: 'local', name: 'api', epoch: 2 }],
    ['later', 'added'],
    ['__proto__', { added: true }],
  ])('a changed %s is not verified', (field, value) => {
    const { sig, ...rest } = signed()
    const changed = `{"sig":${JSON.stringify(sig)},${JSON.stringify(field)}:${JSON.stringify(value)},`
    const { [field]: _, ...others } = rest
    expect(verified(decode(changed + JSON.stringify(others).slice(1)))).toBe(false)
  })

  test('unknown fields of a newer sender verify, and are dropped', () => {
    const newer = {
      ...unsigned(),
      later: { b: [1, null, true], a: 'x' },
      priority: 1.5,
      from: { ...unsigned().from, host: 'h' },
    }
    const result = decode(signed(newer as Partial<Envelope>))
    expect(verified(result)).toBe(true)
    expect(result).toEqual({ envelope: { ...unsigned(), sig: expect.any(String) }, verified: true })
  })

  test('a signature given for something else does not fit', () => {
    const { sig: _, ...rest } = signed()
    const bare = sign(null, Buffer.from(canonical(rest)), testKey).toString('base64url')
    expect(verified(decode({ ...rest, sig: bare }))).toBe(false)
  })

  test('a replay to another project, recipient, sender or member is refused', () => {
    const message = signed()
    const elsewhere = [
      { to: 'other' },
      { to: 'topic:web' },
      { to: 'role:web' },
      { to: '@all' },
      { from: { member: 'local', name: 'boss', epoch: 1 } },
      { from: { member: 'other', name: 'api', epoch: 1 } },
    ]
    for (const over of elsewhere)
      expect(decode(message, subjectOf(unsigned(over)))).toEqual(undecodable('wrong_subject'))
    const other = unsigned({ project: 'other' })
    const bytes = Buffer.from(JSON.stringify(message))
    expect(decodeEnvelope('other', subjectOf(other), bytes, keyOf)).toEqual(undecodable('wrong_subject'))
    expect(decode(message, subjectOf(other))).toEqual(undecodable('wrong_subject'))
  })

  test('operator and role:operator are one recipient', () => {
    expect(verified(decode(signed({ to: 'operator' }), subjectOf(unsigned({ to: 'role:operator' }))))).toBe(true)
  })
})
