/** What shows a sandbox: the errors of sockets, views of a file system, variables. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { fileError } from '../../../src/host/files.ts'
import { isReadOnlyView, isRefusal, refusesSockets, sandboxed } from '../../../src/host/sandbox.ts'

let dir: string
let socket: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-sandbox-'))
  socket = join(dir, 'sock')
  writeFileSync(socket, '')
})
afterAll(() => rmSync(dir, { recursive: true }))

test.each([
  ['EPERM', true],
  ['EAFNOSUPPORT', true],
  ['ENOSYS', true],
  // The file's mode lets its owner in.
  ['EACCES', true],
  ['ECONNREFUSED', false],
  ['ENOENT', false],
])('a connection to a socket of ours that fails with %s: a sandbox? %s', (code, is) => {
  expect(isRefusal(Object.assign(new Error(), { code }), socket)).toBe(is)
})

test('a socket that is not there, or no error, is no sandbox', () => {
  expect(isRefusal(Object.assign(new Error(), { code: 'EACCES' }), join(dir, 'none'))).toBe(false)
  expect(isRefusal(undefined, socket)).toBe(false)
})

test('here, outside of any, sockets are made and files are written', async () => {
  expect(await refusesSockets(dir)).toBe(false)
  expect(isReadOnlyView(dir)).toBe(false)
})

test('a sandbox that names itself is why files are shut; elsewhere it is their owner or mode', () => {
  const failed = (code: string) => fileError(Object.assign(new Error(), { code }), '/x')
  expect(failed('EPERM')).toMatchObject({ code: 'denied' })
  vi.stubEnv('SANDBOX_RUNTIME', '1')
  for (const code of ['EPERM', 'EACCES', 'EROFS']) expect(failed(code)).toMatchObject({ code: 'sandboxed' })
  expect(failed('ELOOP')).toMatchObject({ code: 'denied' })
  vi.unstubAllEnvs()
})

test('the error names the sandbox that its variable gives away', () => {
  expect(sandboxed({ SANDBOX_RUNTIME: '1' }, 'x').message).toContain('Claude Code’s sandbox')
  expect(sandboxed({}, 'x')).toMatchObject({
    code: 'sandboxed',
    exit: 5,
    message: 'a sandbox keeps this command from x',
  })
})
