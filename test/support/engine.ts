/** A real nats-server for tests, a clean environment, and programs of ours that run as processes of their own. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { build } from 'esbuild'
import { stopEngine } from '../../src/engine/engine.ts'
import { installEngine } from '../../src/engine/fetch.ts'
import { type Env, type Home, meshHome } from '../../src/host/home.ts'

const SECRET = /^(CLAUDE|ANTHROPIC|MESH_)/

/** The environment of this process without what belongs to a session, and `extra`. */
export function scrubbedEnv(extra: Env = {}): Record<string, string> {
  const kept = Object.entries(process.env).filter(([key]) => !SECRET.test(key))
  const all = [...kept, ...Object.entries(extra)]
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** The path of a nats-server: `MESH_ENGINE`, else one fetched once into `MESH_TEST_CACHE` or the user's cache. */
export async function testEngineBinary(): Promise<string> {
  if (process.env.MESH_ENGINE) return process.env.MESH_ENGINE
  const root = process.env.MESH_TEST_CACHE || join(homedir(), '.cache', 'sessionmesh-test')
  return (await installEngine(meshHome({ MESH_HOME: root }), process.env, () => {})).path
}

/** A private directory under the system's temporary one, and how to remove it. */
export function temporaryDir(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'mesh-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Ends a home's engine, whatever state the test left it in. */
export async function endEngine(home: Home): Promise<void> {
  await stopEngine(home).catch(() => {})
  for (const pid of serversOf(home)) process.kill(pid, 'SIGKILL')
}

/** Bundles a TypeScript program, whose imports are relative to `test/support`, into a file that node can run. */
export async function bundleProgram(contents: string, outfile: string): Promise<string> {
  await build({
    stdin: { contents, resolveDir: import.meta.dirname, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    logLevel: 'silent',
  })
  return outfile
}

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a bundled program to its end. */
export function runProgram(program: string, env: Env, args: string[] = []): Promise<Finished> {
  return runCommand(process.execPath, [program, ...args], env)
}

/** Starts a bundled program in a clean environment with `env`. The caller ends it. */
export function startProgram(program: string, env: Env, args: string[] = []) {
  return spawn(process.execPath, [program, ...args], { env: scrubbedEnv(env), stdio: ['ignore', 'pipe', 'pipe'] })
}

/** The pids of all servers that run on a home's configuration. */
export function serversOf(home: Home): number[] {
  const lines = execFileSync('ps', ['-ww', '-eo', 'pid=,stat=,args='], { encoding: 'utf8' }).split('\n')
  const ours = lines.filter((line) => line.endsWith(` -c ${join(home.engine, 'server.conf')}`))
  return ours.filter((line) => !/^\s*\d+\s+Z/.test(line)).map((line) => Number.parseInt(line, 10))
}

/** Runs a command to its end and gives what it printed. */
export async function runCommand(command: string, args: string[], env: Env = {}): Promise<Finished> {
  const child = spawn(command, args, { env: scrubbedEnv(env), stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: child.exitCode, stdout, stderr }
}

/** Writes an executable shell script. */
export function makeScript(path: string, body: string): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  return path
}
