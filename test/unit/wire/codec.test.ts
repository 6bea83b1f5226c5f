import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MeshError } from '../../../src/errors.ts'
import {
  canonical,
  checkText,
  decodeEnvelope,
  decodeEvent,
  decodeRecord,
  encodeEnvelope,
  encodeEvent,
  encodeRecord,
  parseJson,
} from '../../../src/wire/codec.ts'
import { presence as presenceSchema } from '../../../src/wire/envelope.schema.ts'
import { limits } from '../../../src/wire/limits.ts'
import { parseRecipient } from '../../../src/wire/names.ts'
import { eventSubject, messageSubject } from '../../../src/wire/subjects.ts'
import { fixture, keyOf, presence, project, testKey, unsigned } from '../../support/samples.ts'
import { decode, signed, subjectOf, verified } from './signed.ts'

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
