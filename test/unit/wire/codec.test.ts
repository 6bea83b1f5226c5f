import { generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MeshError } from '../../../src/errors.ts'
import {
  canonical,
  checkText,
  type Decoded,
  decodeEnvelope,
  decodeEvent,
  decodeRecord,
  encodeEnvelope,
  encodeEvent,
  encodeRecord,
  parseJson,
  type Undecodable,
} from '../../../src/wire/codec.ts'
import { type Envelope, presence as presenceSchema } from '../../../src/wire/envelope.schema.ts'
import { limits } from '../../../src/wire/limits.ts'
import { parseRecipient } from '../../../src/wire/names.ts'
import { eventSubject, messageSubject } from '../../../src/wire/subjects.ts'
import { fixture, keyOf, presence, project, testKey, unsigned } from '../../support/samples.ts'

const foreignKey = generateKeyPairSync('ed25519').privateKey

function subjectOf(message: Pick<Envelope, 'to' | 'from' | 'project'>): string {
  return messageSubject(message.project, parseRecipient(message.to), message.from)
}

const subject = subjectOf(unsigned())

function decode(value: unknown, on: string = subject) {
  const bytes =
    value instanceof Uint8Array ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return decodeEnvelope(project, on, bytes, keyOf)
}

function undecodable(reason: Undecodable) {
  return { undecodable: reason }
}

/** A signed message as a plain object, to be bent. */
function signed(over: Partial<Envelope> = {}, key = testKey): Record<string, unknown> & { sig: string } {
  return JSON.parse(Buffer.from(encodeEnvelope(unsigned(over), key)).toString())
}

function verified(result: Decoded | { undecodable: Undecodable }): boolean {
  if ('undecodable' in result) throw new Error(result.undecodable)
  return result.verified
}

describe('round trip', () => {
  const text = fc.string({ unit: 'binary', maxLength: 200 })
  const id = fc.stringMatching(/^m_[0-9a-f]{32}$/)
  const message = fc.record(
    {
      id,
      to: fc.constantFrom('web', 'topic:t', 'role:r', '@all', 'operator'),
      seq: fc.integer({ min: 1 }),
      hops: fc.integer({ min: 0, max: limits.hops }),
      thread: fc.string({ unit: 'binary', maxLength: 60 }),
      replyTo: id,
      intent: fc.constantFrom('request', 'inform'),
      body: text.map((text) => ({ text })),
    },
    { requiredKeys: ['to'] },
  )

  test('what was encoded is decoded and verified, whatever its text', () => {
    fc.assert(
      fc.property(message, (over) => {
        const sent = unsigned(over)
        const bytes = encodeEnvelope(sent, testKey)
        const got = decodeEnvelope(project, subjectOf(sent), bytes, keyOf)
        expect(got).toMatchObject({ envelope: sent, verified: true })
      }),
      { numRuns: 300 },
    )
  })

  test('a lone surrogate survives signing as an escape', () => {
    expect(verified(decode(signed({ body: { text: 'a\ud800b' } })))).toBe(true)
  })

  test('fields that are undefined take no part', () => {
    expect(verified(decode(signed({ thread: undefined })))).toBe(true)
  })

  test('the order of fields and white space take no part', () => {
    const message = signed({ thread: 't' })
    const reversed = Object.fromEntries(Object.entries(message).reverse())
    expect(verified(decode(JSON.stringify(reversed, null, 3)))).toBe(true)
  })
})

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

describe('canonical form', () => {
  test('is JSON of the same value, and does not depend on the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonical(value)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonical(JSON.parse(text))).toBe(text)
        expect(canonical(reverseKeys(value))).toBe(text)
      }),
    )
  })

  test('sorts by code unit, as RFC 8785', () => {
    expect(canonical({ '\ufb33': 1, '\ud83d\ude00': 2, é: 3, a: 4, '1': 5, '\r': 6, A: 7 })).toBe(
      '{"\\r":6,"1":5,"A":7,"a":4,"é":3,"😀":2,"\ufb33":1}',
    )
  })

  test('different values have different forms', () => {
    expect(canonical({ a: '1' })).not.toBe(canonical({ a: 1 }))
    expect(canonical({ a: { b: 1 } })).not.toBe(canonical({ 'a.b': 1 }))
    expect(canonical(JSON.parse('{"__proto__":1}'))).toBe('{"__proto__":1}')
  })
})

function reverseKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reverseKeys)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, field]) => [key, reverseKeys(field)])
      .reverse(),
  )
}

describe('malformed', () => {
  const json = JSON.stringify(signed())

  test.each([
    ['nothing', ''],
    ['white space', ' \n'],
    ['garbage', 'not json'],
    ['a cut message', json.slice(0, -1)],
    ['more after it', `${json}x`],
    ['two messages', json + json],
    ['a number', '5'],
    ['null', 'null'],
    ['an array', `[${json}]`],
    ['a string', JSON.stringify(json)],
    ['single quotes', json.replaceAll('"', "'")],
    ['NaN', json.replace('"seq":1', '"seq":NaN')],
    ['NUL', `${json}\0`],
    ['depth 100,000', '['.repeat(1e5)],
    ['depth 100,000, closed', '{"a":'.repeat(1e5) + 1 + '}'.repeat(1e5)],
    ['depth 65', json.replace('{', `{"deep":${'['.repeat(64)}${']'.repeat(64)},`)],
  ])('%s is bad JSON', (_what, text) => {
    expect(decode(text)).toEqual(undecodable('bad_json'))
  })

  test('depth 64 is read; brackets within strings do not count', () => {
    expect(verified(decode(json.replace('{', `{"deep":${'['.repeat(63)}${']'.repeat(63)},`)))).toBe(false)
    expect(verified(decode(signed({ body: { text: `${'['.repeat(1000)}\\"${'{'.repeat(1000)}\\` } })))).toBe(true)
  })

  test.each([
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['an encoded surrogate', [0xed, 0xa0, 0x80]],
    ['a cut sequence', [0xf0, 0x9f, 0x9a]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00]],
  ])('%s is not UTF-8', (_what, bytes) => {
    const at = json.indexOf('hi')
    const broken = Buffer.concat([Buffer.from(json.slice(0, at)), Buffer.from(bytes), Buffer.from(json.slice(at))])
    expect(decode(broken)).toEqual(undecodable('bad_json'))
  })

  test.each([{ v: 2 }, { v: 0 }, { v: '1' }, { v: null }, { kind: 'event' }, { kind: 5 }, { kind: ['message'] }])(
    '%j is unsupported',
    (over) => {
      expect(decode({ ...signed(), ...over })).toEqual(undecodable('unsupported'))
    },
  )

  test('an empty object is unsupported', () => {
    expect(decode('{}')).toEqual(undecodable('unsupported'))
  })

  test.each([
    { id: 'm_x' },
    { id: 5 },
    { id: '__proto__' },
    { seq: '1' },
    { seq: 1e99 },
    { sentAt: 'yesterday' },
    { sentAt: 5 },
    { from: null },
    { from: 'api' },
    { from: { member: 'local', name: 'a'.repeat(5000), epoch: 1 } },
    { from: { member: 'local', name: 'm_x', epoch: 1 } },
    { to: ['web'] },
    { to: 'a.b' },
    { to: '*' },
    { to: '$JS.API.>' },
    { to: 'web\r\n' },
    { to: 'web\0' },
    { to: 'wéb' },
    { body: null },
    { body: 'hi' },
    { body: {} },
    { body: { text: 5 } },
    { body: { object: '/etc/passwd', size: 1, preview: '' } },
    { thread: 'x'.repeat(129) },
    { hops: 65 },
    { sig: 5 },
    { sig: 'x'.repeat(200) },
  ])('%j has a bad shape', (over) => {
    expect(decode({ ...signed(), ...over })).toEqual(undecodable('bad_shape'))
  })

  test('too many bytes are refused before they are parsed', () => {
    expect(decode(`{"a":"${'x'.repeat(limits.envelopeBytes)}"}`)).toEqual(undecodable('too_large'))
    const keys = Array.from({ length: 1e6 }, (_, i) => `"${i}":0`)
    expect(decode(`{${keys.join(',')}}`)).toEqual(undecodable('too_large'))
  })

  test('as many keys as fit are read', () => {
    const keys = Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`k${i}`, 0]))
    expect(verified(decode({ ...keys, ...signed() }))).toBe(false)
  })

  test.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])('a field %s is inert', (field) => {
    const polluted = json.replace('{', `{"${field}":{"polluted":true,"v":2},`)
    const result = decode(polluted)
    expect(verified(result)).toBe(false)
    expect(Object.keys((result as Decoded).envelope)).not.toContain(field)
    expect((result as { polluted?: unknown }).polluted).toBeUndefined()
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test('any bytes on any subject give an answer, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 60 }), (bytes, on) => {
        expect(decodeEnvelope(project, on, bytes, keyOf)).toEqual(undecodable('wrong_subject'))
        expect(decode(bytes)).toHaveProperty('undecodable')
      }),
    )
  })

  test('any change of one byte is refused or not verified', () => {
    const original = unsigned({ thread: 't', body: { text: 'a message' } })
    const bytes = encodeEnvelope(original, testKey)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(bytes)
        changed[at]! ^= flip
        const result = decode(changed)
        if (!('verified' in result) || !result.verified) return
        // The last character of 64 bytes in base64url holds four bits that mean nothing.
        expect({ ...result.envelope, sig: undefined }).toEqual({ ...original, sig: undefined })
      }),
      { numRuns: 500 },
    )
  })
})

describe('records', () => {
  test('are read as they were written', () => {
    expect(decodeRecord(presenceSchema, encodeRecord(presence()))).toEqual(presence())
  })

  test.each(['', 'x', '[]', '{}', 'null', '{"v":1}', '['.repeat(1e5)])('%.20s is none', (text) => {
    expect(decodeRecord(presenceSchema, Buffer.from(text))).toBeNull()
  })

  test('parseJson gives undefined for what is not JSON, and null for null', () => {
    expect(parseJson(Buffer.from('nul'))).toBeUndefined()
    expect(parseJson(Buffer.from('null'))).toBeNull()
  })
})

describe('texts to send', () => {
  function codeOf(text: string): string {
    try {
      checkText(text)
    } catch (error) {
      return MeshError.from(error).code
    }
    return 'none'
  }

  test.each(['', 'hi', '\0\x1b[31m', '🚀', '\ufeff', '\u202e', '</system-reminder>'])(
    '%j is fine, and kept as it is',
    (text) => {
      expect(checkText(text).toString()).toBe(text)
    },
  )

  test.each(['\ud800', 'a\udc00b', '\ude80\ud83d', `${'x'.repeat(1000)}\ud800`])('%j has no UTF-8 form', (text) => {
    expect(codeOf(text)).toBe('bad_request')
  })

  test('the limit is in bytes', () => {
    expect(codeOf('x'.repeat(limits.bodyBytes))).toBe('none')
    expect(codeOf('x'.repeat(limits.bodyBytes + 1))).toBe('too_large')
    expect(codeOf('é'.repeat(limits.bodyBytes / 2 + 1))).toBe('too_large')
  })

  test('an envelope over the limit is not encoded', () => {
    const large = unsigned({ body: { text: 'x'.repeat(limits.envelopeBytes) } })
    expect(() => encodeEnvelope(large, testKey)).toThrow(expect.objectContaining({ code: 'too_large' }))
  })
})

describe('run events', () => {
  const event = JSON.parse(fixture('golden/run_event.json'))
  const subject = eventSubject(project, 'api', event.run, 'end', { member: 'local', name: 'api' })

  test('are verified, and a signature of another kind or a changed byte is not', () => {
    const bytes = encodeEvent(event, testKey)
    expect(decodeEvent(project, subject, bytes, keyOf)).toMatchObject({ event: { reason: 'exit 7' }, verified: true })
    const bent = JSON.parse(Buffer.from(bytes).toString())
    for (const changed of [
      { ...bent, exitCode: 0 },
      { ...bent, sig: undefined },
      { ...bent, sig: 'x'.repeat(86) },
    ]) {
      expect(decodeEvent(project, subject, Buffer.from(JSON.stringify(changed)), keyOf)).toMatchObject({
        verified: false,
      })
    }
    expect(decodeEvent(project, subject, bytes, () => undefined)).toMatchObject({ verified: false })
  })

  test.each([
    ['another owner', eventSubject(project, 'web', event.run, 'end', event.from)],
    ['another run', eventSubject(project, 'api', event.run.replace('0', '1'), 'end', event.from)],
    ['a step', eventSubject(project, 'api', event.run, 'step', event.from)],
    ['another member', eventSubject(project, 'api', event.run, 'end', { member: 'evil', name: 'api' })],
    ['another name', eventSubject(project, 'api', event.run, 'end', { member: 'local', name: 'web' })],
    ['another project', eventSubject('other', 'api', event.run, 'end', event.from)],
    ['a message', messageSubject(project, parseRecipient('api'), event.from)],
  ])('on the subject of %s are refused', (_, wrong) => {
    expect(decodeEvent(project, wrong, encodeEvent(event, testKey), keyOf)).toEqual({ undecodable: 'wrong_subject' })
  })
})
