import { expect, test } from 'vitest'
import { limits } from '../../../src/wire/limits.ts'
import { bounded, lineageIn, runEnv, sessionRunId, subagentRunId } from '../../../src/wire/lineage.ts'
import { isRunId } from '../../../src/wire/names.ts'
import { identity } from '../../support/samples.ts'

const a = `r_${'a'.repeat(32)}`
const b = `r_${'b'.repeat(32)}`

test('a session and its subagents have ids that anybody derives alike, and nobody else has', () => {
  const id = sessionRunId('shop', identity(2))
  expect(isRunId(id)).toBe(true)
  expect(sessionRunId('shop', { ...identity(2) })).toBe(id)
  expect(sessionRunId('other', identity(2))).not.toBe(id)
  expect(sessionRunId('shop', { ...identity(2), start: 'later' })).not.toBe(id)
  expect(isRunId(subagentRunId(id, 'a1b2'))).toBe(true)
  expect(subagentRunId(id, 'a1b2')).not.toBe(subagentRunId(id, 'a1b3'))
})

test('what a run starts has it as the last of its line', () => {
  expect(lineageIn(runEnv([a], b))).toEqual([a, b])
  expect(lineageIn({})).toEqual([])
  expect(lineageIn({ MESH_LINEAGE: `${a},${b}` })).toEqual([])
  expect(lineageIn({ MESH_RUN_ID: b })).toEqual([b])
})

test('an environment that does not fit together is believed in its parent only', () => {
  expect(lineageIn({ MESH_RUN_ID: b, MESH_LINEAGE: a })).toEqual([b])
  expect(lineageIn({ MESH_RUN_ID: 'r_x; rm -rf /', MESH_LINEAGE: a })).toEqual([])
  expect(lineageIn({ MESH_RUN_ID: b, MESH_LINEAGE: `${a},$(id),${b}` })).toEqual([a, b])
})

test('a line that is too long keeps its root and its nearest', () => {
  const line = Array.from({ length: limits.lineage + 9 }, (_, n) => `r_${n.toString(16).padStart(32, '0')}`)
  expect(bounded(line)).toHaveLength(limits.lineage)
  expect([bounded(line)[0], bounded(line).at(-1)]).toEqual([line[0], line.at(-1)])
})
