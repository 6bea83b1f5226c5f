/** Sockets that only their user may open. */
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { MeshError } from '../../../src/errors.ts'
import { askLine } from '../../../src/host/line.ts'
import { connectPrivately, listenPrivately } from '../../../src/host/listen.ts'

const NOBODY = 65_534

const modeOf = (path: string) => statSync(path).mode & 0o777

test('listen - the socket is its user’s alone, and what is made meanwhile has its usual mode', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-listen-'))
  const path = join(dir, 'below', 'sock')
  const server = createServer()
  const listening = listenPrivately(server, path)
  mkdirSync(join(dir, 'meanwhile'))
  await listening
  expect(modeOf(path)).toBe(0o600)
  expect(modeOf(join(dir, 'below'))).toBe(0o700)
  expect(modeOf(join(dir, 'meanwhile'))).toBe(0o777 & ~process.umask())
  await new Promise((resolve) => server.close(resolve))
  rmSync(dir, { recursive: true })
})

test('listen - a socket that nobody serves any more makes way', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-listen-'))
  const path = join(dir, 'sock')
  for (let i = 0; i < 2; i++) {
    const server = createServer()
    await listenPrivately(server, path)
    server.unref()
  }
  expect(statSync(path).isSocket()).toBe(true)
  rmSync(dir, { recursive: true })
})

/** `ok`, or the code of the error that the connection ended with. */
function outcomeOf(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectPrivately(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve('ok')
    })
    socket.once('error', (error) => resolve((error as NodeJS.ErrnoException).code!))
  })
}

test('connect - a socket in a directory that is missing, a link, a file or everybody’s is not spoken to', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-listen-'))
  const server = createServer()
  await listenPrivately(server, join(dir, 'own', 'sock'))
  symlinkSync(join(dir, 'own'), join(dir, 'link'))
  expect(await outcomeOf(join(dir, 'own', 'sock'))).toBe('ok')
  expect(await outcomeOf(join(dir, 'own', 'none'))).toBe('ENOENT')
  expect(await outcomeOf(join(dir, 'none', 'sock'))).toBe('ENOENT')
  expect(await outcomeOf(join(dir, 'link', 'sock'))).toBe('denied')
  chmodSync(join(dir, 'own'), 0o777)
  expect(await outcomeOf(join(dir, 'own', 'sock'))).toBe('denied')
  expect(await outcomeOf('/dev/null/sock')).not.toBe('ok')
  await new Promise((resolve) => server.close(resolve))
  rmSync(dir, { recursive: true })
})

test.skipIf(process.getuid?.() !== 0)('connect - another user’s directory or socket is not spoken to', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-listen-'))
  chmodSync(dir, 0o1777)
  const taken: Socket[] = []
  const server = createServer((socket) => taken.push(socket))
  await listenPrivately(server, join(dir, 'theirs', 'sock'))
  const open = createServer((socket) => taken.push(socket)).listen(join(dir, 'sock'))
  await once(open, 'listening')
  expect(await outcomeOf(join(dir, 'sock'))).toBe('ok')
  for (const path of [join(dir, 'theirs'), join(dir, 'sock')]) chownSync(path, NOBODY, NOBODY)
  taken.length = 0
  expect(await outcomeOf(join(dir, 'theirs', 'sock'))).toBe('denied')
  expect(await outcomeOf(join(dir, 'sock'))).toBe('denied')
  expect(await askLine(join(dir, 'sock'), 'a secret', 5000).catch((error: MeshError) => error.code)).toBe('denied')
  expect(taken).toEqual([])
  for (const each of [server, open]) each.close()
  rmSync(dir, { recursive: true })
})
