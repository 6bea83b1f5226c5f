import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { meshHome } from '../../../src/host/home.ts'
import { inboundIn, readInbound } from '../../../src/host/inbound.ts'
import { defaultSettings, readSettings, unknownSettings } from '../../../src/host/settings.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mesh-settings-'))
})
afterEach(() => {
  rmSync(root, { recursive: true })
})

const read = (text?: string) => {
  if (text !== undefined) writeFileSync(join(root, 'settings.json'), text)
  return readSettings(meshHome({ MESH_HOME: root }))
}

test('without a file the defaults hold', () => {
  expect(read()).toEqual({
    floorSeconds: 30,
    loopRounds: 20,
    claimGraceSeconds: 60,
    claimLostSeconds: 600,
    inbound: {},
  })
  expect(defaultSettings).toEqual(read())
})

test('what is set holds, and unknown keys are ignored', () => {
  const set = { floorSeconds: 0.5, loopRounds: 7 }
  expect(read(JSON.stringify({ ...set, colour: 'red' }))).toEqual({ ...defaultSettings, ...set })
})

test('a setting of an earlier version is read without an error, and is not reported as unknown', () => {
  expect(read('{"stateTokens": 900, "colour": "red"}')).toEqual(defaultSettings)
  expect(unknownSettings(meshHome({ MESH_HOME: root }))).toEqual(['colour'])
})

test.each([
  ['{"floorSeconds": -1}', 'floorSeconds must be a number from 0 to 3600'],
  ['{"floorSeconds": "30"}', 'floorSeconds must be a number from 0 to 3600'],
  ['{"floorSeconds": 1e9}', 'floorSeconds must be a number from 0 to 3600'],
  ['{"loopRounds": 0}', 'loopRounds must be a number from 1 to 10000'],
  ['{"loopRounds": 1.5}', 'loopRounds must be a whole number'],
  ['[]', 'must be a JSON object'],
  ['{', 'not readable'],
  ['', 'not readable'],
])('%j is refused, with the place', (text, place) => {
  const error = expect.objectContaining({ code: 'bad_request', message: expect.stringContaining(place) })
  expect(() => read(text)).toThrow(error)
  expect(() => read(text)).toThrow(join(root, 'settings.json'))
})

test.each<[unknown, string | null]>([
  ['hold', 'hold'],
  [{ shop: 'refuse' }, 'refuse'],
  [{ '*': 'hold', shop: 'accept' }, 'accept'],
  [{ other: 'hold' }, 'accept'],
  ['deny', null],
  [{ shop: 1 }, null],
  [['hold'], null],
])('inbound %j is %s in the project shop', (value, expected) => {
  const setting = readInbound(value)
  expect(setting && inboundIn(setting, 'shop')).toBe(expected)
})

test("a repository's own file makes it stricter, never more open", () => {
  expect(inboundIn({ '*': 'hold' }, 'shop', 'accept')).toBe('hold')
  expect(inboundIn({ '*': 'hold' }, 'shop', 'refuse')).toBe('refuse')
  expect(inboundIn({}, 'shop', 'hold')).toBe('hold')
})
