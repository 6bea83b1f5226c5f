/** The schema of a child's result: what is one, and what does not fit it. */
import { describe, expect, test } from 'vitest'
import { misfits, schemaFault } from '../../../src/supervisor/schema.ts'

describe('the schema of a result', () => {
  test.each([
    [[], /object/],
    ['x', /object/],
    [{ type: 'strnig' }, /type/],
    [{ properties: { a: { required: 'x' } } }, /required/],
    [{ pattern: '(' }, /regular expression/i],
    [{ $ref: '#/$defs/none' }, /leads nowhere/],
    [{ minLength: -1 }, /minLength/],
  ])('%j is none', (schema, why) => expect(schemaFault(schema)).toMatch(why))

  test.each([
    [{}],
    [{ type: ['string', 'null'], pattern: '^a', 'x-ours': 1 }],
    [{ $defs: { a: { type: 'string' } }, items: { $ref: '#/$defs/a' }, enum: [['x']], const: { pattern: '(' } }],
    [{ oneOf: [{ type: 'string' }, { if: { type: 'object' }, else: { required: ['a'] } }] }],
  ])('%j is one', (schema) => expect(schemaFault(schema)).toBeNull())

  test('names what does not fit, each with its place, without consequences', () => {
    const schema = { required: ['n', 'm'], properties: { n: { type: 'integer' }, a: { items: { type: 'string' } } } }
    expect(misfits(schema, { n: 1, m: 2, a: ['x'] })).toEqual([])
    expect(misfits(schema, { n: 'x', a: [1] })).toEqual([
      'it: Instance does not have required property "m".',
      '/n: Instance type "string" is invalid. Expected "integer".',
      '/a/0: Instance type "number" is invalid. Expected "string".',
    ])
    expect(schema).toEqual({
      required: ['n', 'm'],
      properties: { n: { type: 'integer' }, a: { items: { type: 'string' } } },
    })
  })
})
