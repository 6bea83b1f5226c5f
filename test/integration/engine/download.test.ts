/** Sources that fetch an engine: how long each may be silent. */
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { download, runFetcher } from '../../../src/engine/download.ts'

const QUIET_MS = 300
/** Less than that, and together more. */
const BYTES = ['s', 'l', 'o', 'w', 'l', 'y']
const STEP_MS = 100

let server: Server | null = null
afterEach(() => {
  Object.assign(globalThis, { WebAssembly: kept })
  server?.closeAllConnections()
  server?.close()
})

async function serve(answer: (response: ServerResponse) => unknown): Promise<string> {
  server = createServer((_, response) => void answer(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/release.tar.gz`
}

/** A sidecar's Node has no WebAssembly, and has another process fetch. */
const ways = ['here', 'in another process']
const kept = Reflect.get(globalThis, 'WebAssembly')

function goWay(way: string): void {
  if (way !== 'here') Reflect.deleteProperty(globalThis, 'WebAssembly')
}

test.for(ways)('download - %s, a host that says nothing is given up', async (way) => {
  goWay(way)
  const url = await serve(() => {})
  await expect(download(url, QUIET_MS)).rejects.toThrow(/127\.0\.0\.1:\d+ sent nothing for 0\.3 s/)
})

test.for(ways)('download - %s, one that stops in the middle is given up', async (way) => {
  goWay(way)
  const url = await serve((response) => response.write('half'))
  await expect(download(url, 3 * QUIET_MS)).rejects.toThrow('sent nothing')
})

test.for(ways)('download - %s, one that is slow is waited for', async (way) => {
  goWay(way)
  const url = await serve(async (response) => {
    for (const byte of BYTES) {
      response.write(byte)
      await sleep(STEP_MS)
    }
    response.end()
  })
  // Long enough for another process to start, shorter than what comes takes.
  expect(String(await download(url, way === 'here' ? QUIET_MS : 10 * QUIET_MS))).toBe('slowly')
})

test.for(ways)('download - %s, the answer and the fault are reported', async (way) => {
  goWay(way)
  const url = await serve((response) => response.writeHead(404).end())
  await expect(download(url)).rejects.toThrow(/answered 404/)
  server!.closeAllConnections()
  server!.close()
  await expect(download(url)).rejects.toThrow()
})

test('runFetcher - a program that is silent is ended; one that is under way is waited for', async () => {
  const watch = { source: 'the registry', quietMs: QUIET_MS, isUnderWay: (words: string) => words.includes('.tgz') }
  await expect(runFetcher('sh', ['-c', 'exec sleep 60'], {}, watch)).rejects.toThrow('the registry sent nothing')
  const slow = 'echo "GET 200 x.tgz" >&2; sleep 1; echo done'
  expect(String(await runFetcher('sh', ['-c', slow], {}, watch))).toBe('done\n')
  await expect(runFetcher('sh', ['-c', 'echo why >&2; exit 1'], {}, watch)).rejects.toThrow('why')
  await expect(runFetcher('no-such-program', [], {}, watch)).rejects.toThrow('ENOENT')
})
