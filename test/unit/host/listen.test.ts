/** Sockets that only their user may open. */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { listenPrivately } from '../../../src/host/listen.ts'

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
