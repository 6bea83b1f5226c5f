/** The local API's server, with handlers of the test's own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { call } from '../../../src/client/client.ts'
import type { Answer, Call } from '../../../src/daemon/socket/call.ts'
import { type ApiServer, serve } from '../../../src/daemon/socket/server.ts'
import { createLogger } from '../../../src/host/log.ts'

let dir: string
let server: ApiServer
let onCall: (call: Call) => void

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-server-'))
  const answer = (async (_op, _request, given) => {
    onCall(given)
    return { stopped: true }
  }) as Answer
  server = await serve(
    join(dir, 'sock'),
    '0.0.0',
    answer,
    createLogger('silent', () => {}),
  )
})
afterEach(async () => {
  await server.close()
  rmSync(dir, { recursive: true })
})

const stop = () => call(join(dir, 'sock'), 'stop', {})

test('server - what is done after an answer is done once, and its failure ends nothing', async () => {
  const heard: boolean[] = []
  onCall = ({ onAnswered }) => {
    onAnswered((delivered) => {
      heard.push(delivered)
      throw new Error('the disk is full')
    })
    onAnswered((delivered) => heard.push(delivered))
  }
  await stop()
  await expect.poll(() => heard).toEqual([true, true])
  await stop()
  await expect.poll(() => heard).toEqual([true, true, true, true])
})

test('server - it is idle from its last answer on', async () => {
  onCall = () => expect(server.idleMs).toBe(0)
  await stop()
  await expect.poll(() => server.idleMs).toBeGreaterThan(0)
})
