import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Lifeline } from '../../src/harness/claude-code/lifeline.ts'
import { identifyProcess, type ProcessState } from '../../src/host/process.ts'

/** A socket of ours whose other end somebody else holds, as the client holds that of a hook's standard output. */
async function socketPair(dir: string): Promise<{ ours: Socket; theirs: Socket; close(): void }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(join(dir, 's'), resolve))
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const ours = connect(join(dir, 's'))
  await new Promise((resolve) => ours.once('connect', resolve))
  return { ours, theirs: await accepted, close: () => server.close() }
}

test('lifeline - looks again and again after the end of file, until the process is dead', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-line-'))
  const client = spawn('sleep', ['600'])
  const { ours, theirs, close } = await socketPair(dir)
  const states: ProcessState[] = []
  const fd = (ours as unknown as { _handle: { fd: number } })._handle.fd
  const line = new Lifeline(identifyProcess(client.pid!)!, (state) => states.push(state), fd)
  line.start()
  expect(states).toEqual(['alive'])
  theirs.destroy()
  await expect.poll(() => states.length).toBeGreaterThan(3)
  expect(new Set(states)).toEqual(new Set(['alive']))
  client.kill('SIGKILL')
  await expect.poll(() => states.at(-1)).toBe('dead')
  line.stop()
  ours.destroy()
  close()
  rmSync(dir, { recursive: true })
})

test('lifeline - where standard output is a file, the process alone is looked at', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-line-'))
  writeFileSync(join(dir, 'out'), 'text')
  const client = spawn('sleep', ['600'])
  const states: ProcessState[] = []
  const line = new Lifeline(
    identifyProcess(client.pid!)!,
    (state) => states.push(state),
    openSync(join(dir, 'out'), 'r'),
  )
  line.start()
  client.kill('SIGKILL')
  await expect.poll(() => states.at(-1), { timeout: 15_000 }).toBe('dead')
  line.stop()
  rmSync(dir, { recursive: true })
}, 20_000)
