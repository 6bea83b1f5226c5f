/** A real nats-server for tests, a clean environment, and programs of ours that run as processes of their own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { installEngine } from '../../src/engine/binary.ts'
import { engineStatus, stopEngine } from '../../src/engine/engine.ts'
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
  const { pid } = engineStatus(home)
  await stopEngine(home).catch(() => pid && process.kill(pid, 'SIGKILL'))
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
