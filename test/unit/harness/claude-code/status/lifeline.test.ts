import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { Lifeline } from '../../../../../src/harness/claude-code/status/lifeline.ts'
import { identifyProcess, type ProcessState } from '../../../../../src/host/process/process.ts'

/** Stands for a sidecar: looks at the process with the given id and at its own standard output. */
const sidecar = `
  import { Lifeline } from ${JSON.stringify(fileURLToPath(new URL('../../../../../src/harness/claude-code/status/lifeline.ts', import.meta.url)))}
  import { identifyProcess } from ${JSON.stringify(fileURLToPath(new URL('../../../../../src/host/process/process.ts', import.meta.url)))}
  const line = new Lifeline(identifyProcess(Number(process.argv[2])), (state) => {
    process.stderr.write(state + '\\n')
    if (state === 'dead') process.exit(0)
  })
  line.start()`

test('lifeline - after the end of file it looks again at once, until the process is dead', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-line-'))
  const program = join(dir, 'sidecar.mjs')
  const stdin = { contents: sidecar, resolveDir: dir, loader: 'ts' } as const
  await build({ stdin, bundle: true, platform: 'node', format: 'esm', outfile: program, logLevel: 'silent' })
  const client = spawn('sleep', ['600'])
  // Node's pipes are socket pairs, as are the client's.
  const child = spawn(process.execPath, [program, String(client.pid)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  let states = ''
  child.stderr.on('data', (chunk) => (states += String(chunk)))
  await expect.poll(() => states, { timeout: 10_000 }).toBe('alive\n')
  child.stdout.destroy()
  const begun = performance.now()
  await expect.poll(() => states.split('\n').length, { timeout: 10_000 }).toBeGreaterThan(20)
  // On its slow beat it would have looked once or twice.
  expect(performance.now() - begun).toBeLessThan(10_000)
  client.kill('SIGKILL')
  expect(await ended).toBe(0)
  expect(new Set(states.trim().split('\n'))).toEqual(new Set(['alive', 'dead']))
  rmSync(dir, { recursive: true })
}, 30_000)

test('lifeline - where standard output is a file, the process alone is looked at', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-line-'))
  writeFileSync(join(dir, 'out'), 'text')
  const client = spawn('sleep', ['600'])
  const states: ProcessState[] = []
  const fd = openSync(join(dir, 'out'), 'r')
  const line = new Lifeline(identifyProcess(client.pid!)!, (state) => states.push(state), fd)
  line.start()
  client.kill('SIGKILL')
  await expect.poll(() => states.at(-1), { timeout: 15_000 }).toBe('dead')
  line.stop()
  rmSync(dir, { recursive: true })
}, 20_000)
