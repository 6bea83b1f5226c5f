import { describe, expect, test } from 'vitest'
import { decodeEnvelope, decodeRecord } from '../../../src/wire/codec.ts'
import { envelope, type NameRecord } from '../../../src/wire/envelope.schema.ts'
import { wireKinds } from '../../../src/wire/kinds.ts'
import { limits } from '../../../src/wire/limits.ts'
import { parseRecipient } from '../../../src/wire/names.ts'
import { messageSubject } from '../../../src/wire/subjects.ts'
import { fixture, keyOf, nameRecord, project, unsigned } from '../../support/samples.ts'

function golden(file: string) {
  const text = fixture(`golden/${file}.json`)
  return { bytes: Buffer.from(text), value: JSON.parse(text) }
}

describe('golden messages', () => {
  test.each(['message', 'message-large'])('%s is decoded and verified', (file) => {
    const { bytes, value } = golden(file)
    const subject = messageSubject(project, parseRecipient(value.to), value.from)
    expect(decodeEnvelope(project, subject, bytes, keyOf)).toEqual({ envelope: value, verified: true })
  })

  test.each(Object.entries(wireKinds))('%s is read as it was written', (kind, schema) => {
    const { bytes, value } = golden(kind)
    expect(value.kind).toBe(kind)
    expect(decodeRecord(schema, bytes)).toEqual(value)
  })

  test.each(Object.entries(wireKinds))('%s with unknown fields is read, without them', (kind, schema) => {
    const { value } = golden(kind)
    const newer = Buffer.from(JSON.stringify({ ...value, later: { deep: [1] }, constructor: 1 }))
    expect(decodeRecord(schema, newer)).toEqual(value)
  })

  test.each(Object.entries(wireKinds))('%s of another version or kind is refused', (kind, schema) => {
    const { value } = golden(kind)
    for (const over of [{ v: 2 }, { v: '1' }, { v: undefined }, { kind: 'other' }, { kind: undefined }]) {
      expect(decodeRecord(schema, Buffer.from(JSON.stringify({ ...value, ...over })))).toBeNull()
    }
  })

  test.each(Object.entries(wireKinds))('%s without any one of its required fields is refused', (kind, schema) => {
    const { value } = golden(kind)
    for (const field of Object.keys(value)) {
      const { [field]: _, ...rest } = value
      const optional = schema.shape[field as 'v'].safeParse(undefined).success
      expect(decodeRecord(schema, Buffer.from(JSON.stringify(rest))) !== null, field).toBe(optional)
    }
  })

  test.each(Object.entries(wireKinds))('%s with a wrong type in any one field is refused', (kind, schema) => {
    const { value } = golden(kind)
    for (const field of Object.keys(value)) {
      for (const wrong of [null, true, -1, 1.5, [[]], { x: 1 }, '\0']) {
        const bytes = Buffer.from(JSON.stringify({ ...value, [field]: wrong }))
        const free = typeof value[field] === 'string' && wrong === '\0' && isFreeText(field)
        expect(decodeRecord(schema, bytes) !== null, `${field}: ${JSON.stringify(wrong)}`).toBe(free)
      }
    }
  })
})

/** Fields for people or opaque words: any string within a length. */
function isFreeText(field: string): boolean {
  return [
    'thread',
    'title',
    'body',
    'result',
    'evidence',
    'session',
    'harness',
    'cwd',
    'worktree',
    'reason',
    'witness',
    'version',
    'sig',
    'host',
    'stderrTail',
  ].includes(field)
}

describe('bounds', () => {
  const ok = (over: object) => envelope.safeParse({ ...unsigned(), ...over }).success

  test('the sample itself is fine', () => {
    expect(ok({})).toBe(true)
  })

  test.each([
    ['thread', 'x'.repeat(limits.thread), 'x'.repeat(limits.thread + 1)],
    ['hops', limits.hops, limits.hops + 1],
    ['hops', 0, -1],
    ['seq', 1, 0],
    ['seq', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER + 1],
    ['intent', 'request', 'Request'],
    ['intent', `a${'b'.repeat(31)}`, `a${'b'.repeat(32)}`],
    ['to', '@all', '@ALL'],
    ['to', `topic:${'a'.repeat(64)}`, `topic:${'a'.repeat(65)}`],
    ['sentAt', '2026-11-20T10:00:00Z', '2026-11-20T10:00:00+01:00'],
    ['sentAt', '2026-02-28T10:00:00.123456Z', '2026-02-30T10:00:00Z'],
    ['sentAt', `2026-11-20T10:00:00.${'0'.repeat(19)}Z`, `2026-11-20T10:00:00.${'0'.repeat(20)}Z`],
    ['project', 'a', 'a.b'],
    ['body', { text: 'x'.repeat(limits.inlineBodyBytes) }, { text: 'x'.repeat(limits.inlineBodyBytes + 1) }],
    [
      'body',
      { object: 'a'.repeat(64), size: limits.bodyBytes, preview: '' },
      { object: '../../x', size: 1, preview: '' },
    ],
    ['body', { text: '' }, { object: 'a'.repeat(64), size: limits.bodyBytes + 1, preview: '' }],
  ])('%s: within and beyond', (field, within, beyond) => {
    expect(ok({ [field]: within })).toBe(true)
    expect(ok({ [field]: beyond })).toBe(false)
  })

  test.each(['m_x', 'A', '', 'a.b', '*', 'operator', 'a'.repeat(5000), '__proto__'])(
    'sender name %j is refused',
    (name) => {
      expect(ok({ from: { member: 'local', name, epoch: 1 } })).toBe(false)
    },
  )

  test('a name record has bounded lists', () => {
    const many = (count: number): NameRecord['roles'] => Array.from({ length: count }, (_, i) => `r${i}`)
    const parse = (roles: string[]) => wireKinds.name.safeParse(nameRecord({ roles })).success
    expect(parse(many(limits.memberships))).toBe(true)
    expect(parse(many(limits.memberships + 1))).toBe(false)
  })
})
