/** The JSON Schema that a spawned session's result has to fit, and what of a result does not. */
import { dereference, type OutputUnit, type Schema, Validator } from '@cfworker/json-schema'
import { limits } from '../wire/limits.ts'

/** Misfits returned at once: enough to try again. */
const MISFITS = 5
const WORDS = 200

const TYPES = ['array', 'boolean', 'integer', 'null', 'number', 'object', 'string']
const schemas: Schema = { type: 'array', minItems: 1, items: { $ref: '#' } }
const named: Schema = { type: 'object', additionalProperties: { $ref: '#' } }
const one: Schema = { $ref: '#' }
const count: Schema = { type: 'integer', minimum: 0 }
const words: Schema = { type: 'array', items: { type: 'string' } }

/** The types that keywords of drafts 7 and 2020-12 must have (https://json-schema.org/draft/2020-12/schema, in short). */
const META: Schema = {
  type: ['object', 'boolean'],
  properties: {
    type: { anyOf: [{ enum: TYPES }, { type: 'array', minItems: 1, items: { enum: TYPES } }] },
    enum: { type: 'array' },
    ...all(named, ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']),
    ...all(schemas, ['allOf', 'anyOf', 'oneOf', 'prefixItems']),
    ...all(one, ['additionalProperties', 'propertyNames', 'contains', 'not', 'if', 'then', 'else']),
    ...all(one, ['unevaluatedItems', 'unevaluatedProperties', 'additionalItems']),
    items: { anyOf: [one, schemas] },
    required: words,
    dependentRequired: { type: 'object', additionalProperties: words },
    ...all({ type: 'number' }, ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum']),
    multipleOf: { type: 'number', exclusiveMinimum: 0 },
    ...all(count, ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties']),
    ...all(count, ['minContains', 'maxContains']),
    uniqueItems: { type: 'boolean' },
    ...all({ type: 'string' }, ['$id', '$ref', '$anchor', '$schema', 'pattern', 'format', 'title', 'description']),
  },
}

function all(schema: Schema, keywords: readonly string[]): Record<string, Schema> {
  return Object.fromEntries(keywords.map((keyword) => [keyword, schema]))
}

/** Says why a value is no JSON Schema that results can be checked against; null when it is one. */
export function schemaFault(schema: unknown): string | null {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return 'a schema is a JSON object'
  const [wrong] = misfits(META as object, schema)
  if (wrong !== undefined) return wrong
  try {
    // The validator looks at patterns and references when it meets them.
    checkPatterns(schema)
    return refFault(schema)
  } catch (error) {
    return (error as Error).message.slice(0, WORDS)
  }
}

/** The first reference that leads nowhere. */
function refFault(schema: object): string | null {
  const found = dereference(structuredClone(schema) as Schema)
  for (const part of Object.values(found)) {
    const { $ref, __absolute_ref__: to = $ref } = typeof part === 'object' ? part : {}
    if (to !== undefined && found[to] === undefined) return `$ref ${$ref} leads nowhere`
  }
  return null
}

/** Compiles every pattern. Throws what the engine says of a bad one. */
function checkPatterns(value: unknown, keyword = ''): void {
  if (keyword === 'pattern' && typeof value === 'string') new RegExp(value, 'u')
  if (typeof value !== 'object' || value === null) return
  for (const [key, field] of Object.entries(value)) {
    if (keyword === 'patternProperties') new RegExp(key, 'u')
    if (!['enum', 'const', 'default', 'examples'].includes(key)) checkPatterns(field, key)
  }
}

/** Returns the parts of a value that do not fit a schema, each with its place; none when it fits. */
export function misfits(schema: object, value: unknown): string[] {
  const { valid, errors } = new Validator(schema as Schema, '2020-12', false).validate(value)
  if (valid) return []
  // What only says that something below it does not fit is left out.
  const causes = errors.filter((unit) => !errors.some((other) => isBelow(other, unit)))
  return causes.slice(0, MISFITS).map(said)
}

function isBelow(other: OutputUnit, unit: OutputUnit): boolean {
  return other !== unit && other.keywordLocation.startsWith(`${unit.keywordLocation}/`)
}

function said({ instanceLocation, error }: OutputUnit): string {
  const place = instanceLocation === '#' ? 'it' : instanceLocation.slice(1)
  return `${place}: ${error}`.slice(0, Math.min(WORDS, limits.evidence))
}
