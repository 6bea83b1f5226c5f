import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { build } from 'esbuild'
import { version } from '../../../src/client/version.ts'
import { engineStatus, startEngine } from '../../../src/engine/engine.ts'
import { type Env, type Home, meshHome } from '../../../src/host/home.ts'
import { endEngine, scrubbedEnv, temporaryDir, testEngineBinary } from '../engine.ts'

/** A ceiling for what takes a fraction of a second. */
export const WAIT = { timeout: 30_000, interval: 10 }
const root = join(import.meta.dirname, '..', '..', '..')

/** Waits for a condition, also where no assertion can: in a hook or a concurrent test. */
export async function until(look: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WAIT.timeout
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${WAIT.timeout / 1000} s`)
    await sleep(WAIT.interval)
  }
}

/** One mesh home and its engine. */
export class World {
  readonly home: Home
  readonly env: Env
  readonly #temporary: { path: string; remove(): void }
  #programs = 0
  #projects = 0
  #program: Promise<string> | null = null

  private constructor(temporary: { path: string; remove(): void }, env: Env) {
    this.#temporary = temporary
    this.env = env
    this.home = meshHome(env)
  }

  static async start(): Promise<World> {
    const temporary = temporaryDir()
    const env = { MESH_HOME: join(temporary.path, 'h'), MESH_ENGINE: await testEngineBinary() }
    const world = new World(temporary, { ...scrubbedEnv(), ...env })
    await startEngine(world.home, world.env, () => {})
    return world
  }

  get url(): string {
    return engineStatus(this.home).url!
  }

  nextProject(): string {
    return `p${++this.#projects}`
  }

  /** A directory of this world that nobody else uses. */
  directory(): string {
    const path = join(this.#temporary.path, `d${++this.#programs}`)
    mkdirSync(path, { mode: 0o700 })
    return path
  }

  /** The sidecar as a program, from the sources as they are now. */
  program(): Promise<string> {
    this.#program ??= bundleSidecar(join(this.directory(), 'sidecar.js'))
    return this.#program
  }

  killEngine(): void {
    process.kill(engineStatus(this.home).pid!, 'SIGKILL')
  }

  async close(): Promise<void> {
    await endEngine(this.home)
    this.#temporary.remove()
  }
}

async function bundleSidecar(outfile: string): Promise<string> {
  await build({
    entryPoints: [join(root, 'src', 'daemon', 'main.ts')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    define: { MESH_VERSION: JSON.stringify(version), 'import.meta.dirname': '__dirname' },
    logLevel: 'silent',
  })
  return outfile
}

/** Where sessions of a test are: a project of a world. */
export interface Place {
  readonly world: World
  readonly name: string
}
