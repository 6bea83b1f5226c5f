import { expect, test } from 'vitest'
import { z } from 'zod'
import { jsonSchemas } from '../../../src/wire/json-schema.ts'
import { wireKinds } from '../../../src/wire/kinds.ts'
import { fixture } from '../../support/samples.ts'

const schemas = jsonSchemas()

test('the wire of version 1 is frozen: a difference to the fixture is a change that other versions will meet', async () => {
  const text = `${JSON.stringify(schemas, null, 2)}\n`
  await expect(text).toMatchFileSnapshot('../../fixtures/wire-v1.schema.json')
})

test('there is one schema per kind, each with its own id', () => {
  expect(Object.keys(schemas)).toEqual(Object.keys(wireKinds))
  const ids = Object.values(schemas).map((schema) => (schema as { $id: string }).$id)
  expect(new Set(ids).size).toBe(ids.length)
})

test('no schema forbids unknown fields', () => {
  expect(JSON.stringify(schemas)).not.toContain('additionalProperties')
})

test.each(Object.keys(wireKinds))('%s: a reader that has only the JSON Schema reads the golden message', (kind) => {
  const reader = z.fromJSONSchema(schemas[kind] as Parameters<typeof z.fromJSONSchema>[0])
  const golden = JSON.parse(fixture(`golden/${kind}.json`))
  expect(reader.safeParse({ ...golden, later: 1 }).success).toBe(true)
  expect(reader.safeParse({ ...golden, v: 2 }).success).toBe(false)
})

test('the grammar of names reaches the JSON Schema', () => {
  const reader = z.fromJSONSchema(schemas.message as Parameters<typeof z.fromJSONSchema>[0])
  const golden = JSON.parse(fixture('golden/message.json'))
  for (const to of ['a.b', '*', 'm_x', 'operator2.', 'topic:', 'x'.repeat(65)]) {
    expect(reader.safeParse({ ...golden, to }).success).toBe(false)
  }
})
