/** Sockets in the file system, which something that cleans up may remove while their process lives. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { socketPath } from '../../../src/host/home.ts'
import { listenPrivately } from '../../../src/host/listen.ts'

let root: string
let server: ReturnType<typeof createServer>
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mesh-listen-'))
  server = createServer((_, response) => response.end('here'))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
  rmSync(root, { recursive: true, force: true })
})

function answer(path: string): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(path, () => socket.write('GET / HTTP/1.0\r\n\r\n'))
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.once('error', () => resolve('')).once('close', () => resolve(text.split('\r\n').at(-1)!))
  })
}

test('listen - a socket that was removed is bound again, and what was connected stays connected', async () => {
  const path = join(root, 'sock')
  await listenPrivately(server, path)
  const early = connect(path)
  await new Promise((resolve) => early.once('connect', resolve))
  let isCut = false
  early.once('close', () => (isCut = true))
  rmSync(path)
  await expect.poll(() => answer(path), { timeout: 10_000 }).toBe('here')
  expect([isCut, statSync(path).mode & 0o777]).toEqual([false, 0o600])
  early.destroy()
})

test('listen - the folder that sessions with long paths share is made again, a cleared session directory is not', async () => {
  const shared = socketPath(join(root, 'x'.repeat(110)))
  await listenPrivately(server, shared)
  rmSync(shared)
  const other = createServer((_, response) => response.end('gone'))
  const own = join(root, 'cc-1', 'sock')
  await listenPrivately(other, own)
  rmSync(join(root, 'cc-1'), { recursive: true })
  await expect.poll(() => answer(shared), { timeout: 10_000 }).toBe('here')
  expect(existsSync(own)).toBe(false)
  other.close()
  server.close()
  expect(existsSync(shared)).toBe(false)
})
