import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { lastWords, startError } from '../../../src/client/last-words.ts'
import { temporaryDir } from '../../support/engine.ts'

const temporary = temporaryDir()
const path = join(temporary.path, 'stderr')
afterAll(() => temporary.remove())

const CRASH = `/opt/mesh/dist/sidecar.cjs:1
throw new ReferenceError('WebAssembly is not defined')
^

ReferenceError: WebAssembly is not defined
    at Object.<anonymous> (/opt/mesh/dist/sidecar.cjs:1:1)
    at Module._compile (node:internal/modules/cjs/loader:1554:14)

Node.js v22.23.3
`

test.for([
  ['nothing', '', ''],
  ['a crash', CRASH, 'ReferenceError: WebAssembly is not defined'],
  ['an option that Node has not', '/usr/bin/node: bad option: --no-wasm\n', '/usr/bin/node: bad option: --no-wasm'],
  ['what V8 says of our flags', 'Warning: disabling flag --expose_wasm due to conflicting flags\n', ''],
  ['a supervisor', 'Warning: x\nmesh: usage: supervisor.js HOME\n', 'mesh: usage: supervisor.js HOME'],
  ['anything else', 'one\n\ntwo\n', 'two'],
])('lastWords - of %s', ([, text, words]) => {
  writeFileSync(path, text!)
  expect(lastWords(path)).toBe(words)
})

test('lastWords - what stood there before is another’s', () => {
  writeFileSync(path, 'Error: of yesterday\n')
  expect(lastWords(path, 20)).toBe('')
  expect(lastWords(join(temporary.path, 'none'))).toBe('')
})

test('startError - says how it ended and why, or what it said itself', () => {
  const of = (exitCode: number | null, signalCode: NodeJS.Signals | null, words: string) =>
    startError('the sidecar', { exitCode, signalCode }, words, 'look')
  expect(of(1, null, 'Error: no').message).toBe('the sidecar exited with 1 at its start: Error: no')
  expect(of(null, 'SIGSEGV', '').message).toBe('the sidecar was ended by SIGSEGV at its start')
  expect(of(-2, null, '').message).toBe('the sidecar could not be started (ENOENT)')
  expect(of(null, null, '').message).toBe('the sidecar does not answer')
  expect(of(1, null, '{"error":{"code":"mesh_down","message":"mesh is down","hint":"mesh up"}}')).toMatchObject({
    code: 'mesh_down',
    message: 'mesh is down',
    hint: 'mesh up',
  })
})
