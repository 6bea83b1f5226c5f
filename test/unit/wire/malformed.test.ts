import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Decoded, decodeEnvelope, encodeEnvelope } from '../../../src/wire/codec.ts'
import { limits } from '../../../src/wire/limits.ts'
import { keyOf, project, testKey, unsigned } from '../../support/samples.ts'
import { decode, signed, undecodable, verified } from './signed.ts'

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
