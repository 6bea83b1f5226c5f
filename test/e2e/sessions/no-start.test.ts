/** A sidecar or a supervisor that cannot start: whoever waits for it hears so at once, and why. */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scrubbedEnv, temporaryDir, testEngineBinary } from '../../support/engine.ts'
import { meshBin } from '../../support/mesh.ts'

const PROMPT_MS = 2000
const BROKEN = "throw new ReferenceError('WebAssembly is not defined')\n"

const temporary = temporaryDir()
const dir = join(temporary.path, 'package')
const home = join(temporary.path, 'home')
let env: Record<string, string>

beforeAll(async () => {
  const root = dirname(dirname(meshBin))
  for (const name of ['bin', 'dist', 'package.json']) cpSync(join(root, name), join(dir, name), { recursive: true })
  env = scrubbedEnv({ MESH_HOME: home, MESH_ENGINE: await testEngineBinary(), MESH_PROJECT: 'p', MESH_NAME: 'me' })
  expect(mesh('up').status).toBe(0)
  // What a command compiles and what a Node takes is known before anything is timed.
  expect(mesh('run', '--', 'true').status).toBe(0)
})

afterAll(() => {
  mesh('down')
  temporary.remove()
})

function mesh(...args: string[]) {
  const startedAt = performance.now()
  const done = spawnSync(process.execPath, [join(dir, 'bin', 'mesh.js'), ...args], { encoding: 'utf8', env })
  return { ...done, took: performance.now() - startedAt }
}

/** Runs `work` with a program that ends as it starts. */
function withBroken<T>(program: 'sidecar' | 'supervisor', work: () => T): T {
  const path = join(dir, 'dist', `${program}.cjs`)
  const whole = readFileSync(path)
  writeFileSync(path, BROKEN)
  try {
    return work()
  } finally {
    writeFileSync(path, whole)
  }
}

test('a sidecar that cannot start - its command says so, and why', () => {
  const { status, stderr, took } = withBroken('sidecar', () => mesh('whoami'))
  expect(status).toBe(5)
  expect(stderr).toContain('the sidecar exited with 1 at its start: ReferenceError: WebAssembly is not defined')
  expect(stderr).toContain('mesh doctor')
  expect(took).toBeLessThan(PROMPT_MS)
})

test('a supervisor that cannot start - its command says so, and why, and nothing was run', () => {
  const made = join(temporary.path, 'made')
  for (const args of [[], ['--detach']]) {
    const { status, stderr, took } = withBroken('supervisor', () => mesh('run', ...args, '--', 'touch', made))
    expect(status).toBe(125)
    expect(stderr).toContain('ReferenceError: WebAssembly is not defined')
    expect(stderr).toContain('the supervisor exited with 1 at its start')
    expect(took).toBeLessThan(PROMPT_MS)
  }
  expect(() => readFileSync(made)).toThrow('ENOENT')
})

test('a directory that is gone is said to be why', () => {
  const work = join(temporary.path, 'work')
  mkdirSync(work)
  const script = `rmdir "$0"; exec "$@"`
  const command = [process.execPath, join(dir, 'bin', 'mesh.js'), 'whoami']
  const options = { cwd: work, encoding: 'utf8', env: { ...env, MESH_NAME: 'other' } } as const
  const { status, stderr } = spawnSync('sh', ['-c', script, work, ...command], options)
  expect(status).not.toBe(0)
  expect(stderr).toContain('the directory that this runs in')
})

test('a session’s sidecar that ends at every start - its commands say so, and why', async () => {
  const client = spawn('sleep', ['600'], { stdio: 'ignore' })
  const run = join(home, 'run', `cc-${client.pid}`)
  mkdirSync(run, { recursive: true, mode: 0o700 })
  const record = { pid: client.pid, name: 'me', project: 'p', version: '0.1.0' }
  writeFileSync(join(run, 'sidecar.json'), JSON.stringify(record))
  writeFileSync(join(run, 'failed'), '1\n')
  writeFileSync(
    join(run, 'stderr'),
    BROKEN.replace('throw new ReferenceError(', 'ReferenceError: ').replaceAll(/['()]/g, ''),
  )
  env.MESH_SESSION = `cc-${client.pid}`
  try {
    const { status, stderr } = mesh('whoami')
    expect(status).toBe(5)
    expect(stderr).toContain('this session’s sidecar exited with 1 at its start: ReferenceError: WebAssembly is not')
  } finally {
    delete env.MESH_SESSION
    client.kill('SIGKILL')
    rmSync(run, { recursive: true })
  }
})
