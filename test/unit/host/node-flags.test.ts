import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Home, meshHome } from '../../../src/host/home.ts'
import { nodeFlags, plainFlags } from '../../../src/host/process/node-flags.ts'
import { makeScript, temporaryDir } from '../../support/engine.ts'

const { execPath } = process
let temporary: ReturnType<typeof temporaryDir>
let home: Home

beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: temporary.path })
})

afterEach(() => {
  process.execPath = execPath
  temporary.remove()
})

/** A Node that does `body` with its arguments, and writes down that it was asked. */
function fakeNode(name: string, body: string): void {
  process.execPath = makeScript(join(temporary.path, name), `echo "$*" >>"${temporary.path}/asked"\n${body}`)
}

const asked = () => readFileSync(join(temporary.path, 'asked'), 'utf8').trim().split('\n')

test('node flags - the Node of these tests takes some, without a word', () => {
  expect(nodeFlags(home)).toEqual(expect.arrayContaining([...plainFlags]))
})

test('node flags - a Node is asked once', () => {
  fakeNode('node', 'exit 0')
  expect(nodeFlags(home)).toEqual([...plainFlags, '--no-expose-wasm'])
  expect(nodeFlags(home)).toEqual([...plainFlags, '--no-expose-wasm'])
  expect(asked()).toHaveLength(1)
})

test('node flags - one that it refuses, or warns of, is left out', () => {
  fakeNode('node', 'case $* in *wasm*) echo "bad option" >&2; exit 9 ;; esac')
  expect(nodeFlags(home)).toEqual(plainFlags)
  expect(nodeFlags(home)).toEqual(plainFlags)
  expect(asked()).toHaveLength(2)
  fakeNode('other-node', 'case $* in *wasm*) echo "ignored" >&2 ;; esac')
  expect(nodeFlags(home)).toEqual(plainFlags)
})

test('node flags - a Node that takes none starts without any', () => {
  fakeNode('node', 'exit 9')
  expect(nodeFlags(home)).toEqual([])
})

test('node flags - where nothing can be written, it is asked each time', () => {
  home = meshHome({ MESH_HOME: join(temporary.path, 'nowhere') })
  fakeNode('node', 'exit 0')
  nodeFlags(home)
  expect(nodeFlags(home)).toEqual([...plainFlags, '--no-expose-wasm'])
  expect(asked()).toHaveLength(2)
})
