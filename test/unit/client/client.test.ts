/** The hand-written HTTP client, against servers that answer in every way, and in none. */

import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { apiVersion } from '../../../src/api/version.ts'
import { call, Unreachable } from '../../../src/client/client.ts'
import { version } from '../../../src/client/version.ts'

let dir: string
let path: string
let close: (() => void) | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-client-'))
  path = join(dir, 's')
})
afterEach(() => {
  close?.()
  close = undefined
  rmSync(dir, { recursive: true })
})

async function http(listener: RequestListener): Promise<void> {
  const server = createHttp(listener)
  close = () => {
    server.closeAllConnections()
    server.close()
  }
  await new Promise<void>((resolve) => server.listen(path, resolve))
}

/** As a sidecar answers: with the length of the body. */
function reply(status: number, text: string): RequestListener {
  return (_, response) => response.writeHead(status, { 'content-length': Buffer.byteLength(text) }).end(text)
}

async function raw(onConnection: (socket: Socket) => void): Promise<void> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  await new Promise<void>((resolve) => server.listen(path, resolve))
}

function whoami(options = {}) {
  return call(path, 'whoami', {}, options)
}

test('an operation is a POST with a JSON object, and says who asks', async () => {
  let seen: unknown
  await http((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      seen = {
        method: request.method,
        url: request.url,
        version: request.headers['mesh-version'],
        body: JSON.parse(body),
      }
      response.end('{"name":"é"}')
    })
  })
  expect(await call(path, 'alive', { name: 'ä' })).toEqual({ name: 'é' })
  expect(seen).toEqual({ method: 'POST', url: '/v0/alive', version, body: { name: 'ä' } })
})

test('an answer that takes many packets', async () => {
  const value = { text: '0\r\n\r\n€'.repeat(100_000) }
  await http((_, response) => response.end(JSON.stringify(value)))
  expect(await whoami()).toEqual(value)
})

test('an answer that comes byte by byte', async () => {
  await raw((socket) => {
    socket.setNoDelay()
    socket.once('data', async () => {
      for (const byte of 'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{"a":1}') {
        socket.write(byte)
        await new Promise(setImmediate)
      }
    })
  })
  expect(await whoami()).toEqual({ a: 1 })
})

test('an error keeps its code and hint; an unknown code is internal', async () => {
  await http(reply(404, '{"error":{"code":"not_found","message":"gone","hint":"look"}}'))
  await expect(whoami()).rejects.toMatchObject({ code: 'not_found', message: 'gone', hint: 'look' })
  close?.()
  await http(reply(500, '{"error":{"code":"toString","message":"x"}}'))
  await expect(whoami()).rejects.toMatchObject({ code: 'internal' })
  close?.()
  await http(reply(502, '<html>'))
  await expect(whoami()).rejects.toMatchObject({ code: 'internal' })
  close?.()
  await http(reply(500, 'null'))
  await expect(whoami()).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('500') })
})

test('nobody there: nothing was sent', async () => {
  await expect(whoami()).rejects.toMatchObject({ code: 'sidecar_down', sent: false })
  writeFileSync(path, '')
  await expect(whoami()).rejects.toMatchObject({ code: 'sidecar_down', sent: false })
})

test('a socket that nobody listens on any more', async () => {
  const { execFileSync } = await import('node:child_process')
  const leave = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  expect(() => execFileSync(process.execPath, ['-e', leave])).toThrow()
  await expect(whoami()).rejects.toMatchObject({ code: 'sidecar_down', sent: false })
})

test.each([
  ['at once', ''],
  ['inside the head', 'HTTP/1.1 200 OK\r\nconte'],
  ['inside the body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"a"'],
])('a sidecar that dies %s: what was asked may have been done', async (_, answer) => {
  await raw((socket) => socket.once('data', () => socket.end(answer)))
  await expect(whoami()).rejects.toMatchObject({ code: 'sidecar_down', sent: true })
  await expect(whoami()).rejects.toBeInstanceOf(Unreachable)
})

test.each(['garbage\r\n\r\n', 'x'.repeat(100_000), 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n'])(
  'something else that listens there',
  async (answer) => {
    await raw((socket) => socket.once('data', () => socket.write(answer)))
    await expect(whoami({ timeoutMs: 5000 })).rejects.toMatchObject({ code: 'sidecar_down' })
  },
)

test('no answer in time, and a caller who changes his mind', async () => {
  await raw(() => {})
  await expect(whoami({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' })
  const aborted = AbortSignal.abort(new Error('enough'))
  await expect(whoami({ signal: aborted })).rejects.toThrow('enough')
  const controller = new AbortController()
  setTimeout(() => controller.abort(new Error('enough')), 20)
  await expect(whoami({ signal: controller.signal })).rejects.toThrow('enough')
})

test('the version of the protocol decides, not the release', async () => {
  for (const [api, isOlder] of [
    [apiVersion, null],
    [apiVersion - 1, true],
    [apiVersion + 1, false],
  ] as const) {
    await http((_, response) => response.setHeader('mesh-version', '9.8.7').setHeader('mesh-api', api).end('{}'))
    if (isOlder === null) expect(await whoami()).toEqual({})
    else
      await expect(whoami()).rejects.toMatchObject({
        code: 'version_skew',
        isOlder,
        message: expect.stringContaining('9.8.7'),
        hint: expect.stringContaining(isOlder ? 'mesh install' : 'npm install -g'),
      })
    close?.()
  }
})

test('an operation that the sidecar does not have is a matter of versions', async () => {
  const stated = { code: 'bad_request', message: 'unknown: POST /v0/whoami', detail: 'no_operation' }
  const ofFirstRelease = { code: 'bad_request', message: 'no such operation: POST /v0/whoami' }
  for (const error of [stated, ofFirstRelease]) {
    await http(reply(400, JSON.stringify({ error })))
    await expect(whoami()).rejects.toMatchObject({ code: 'version_skew', isOlder: true })
    close?.()
  }
})

test('a socket in a directory that somebody may have put there is not spoken to', async () => {
  let asked = false
  await http((_, response) => {
    asked = true
    response.end('{}')
  })
  symlinkSync(dir, join(dir, 'link'))
  await expect(call(join(dir, 'link', 's'), 'whoami', {})).rejects.toMatchObject({ code: 'denied' })
  expect(asked).toBe(false)
})
