/** One build, two Nodes of the same V8 version whose byte code differs: what an upgrade of the system's Node is. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nodeOf, rivals } from '../../scripts/node-versions.js'
import { buildOther } from '../support/build.ts'
import { scrubbedEnv, temporaryDir, testEngineBinary } from '../support/engine.ts'

const [older, newer] = rivals.map(nodeOf) as [string, string]
const temporary = temporaryDir()
let engine: string

beforeAll(async () => {
  engine = await testEngineBinary()
})

afterAll(() => temporary.remove())

function versionOf(node: string): string {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
}

/** The programs of one build in one mesh home, run by either Node. */
class Installed {
  readonly dir: string
  readonly #env: Record<string, string>

  constructor(name: string, builder: string) {
    this.dir = join(temporary.path, name)
    cpSync(buildOther({ version: '0.1.1', within: temporary.path }), this.dir, { recursive: true })
    rmSync(join(this.dir, 'dist'), { recursive: true })
    this.build(builder)
    const home = join(temporary.path, `${name}-home`)
    this.#env = scrubbedEnv({ MESH_HOME: home, MESH_ENGINE: engine, MESH_PROJECT: 'p', MESH_NAME: 'me' })
  }

  build(node: string): void {
    execFileSync(node, ['scripts/build.js'], { cwd: this.dir, stdio: 'pipe' })
  }

  mesh(node: string, ...args: string[]) {
    const { status, signal, stdout, stderr } = spawnSync(node, [join(this.dir, 'bin', 'mesh.js'), ...args], {
      encoding: 'utf8',
      env: this.#env,
    })
    return { status, signal, stdout, stderr }
  }

  caches(): string[] {
    return readdirSync(join(this.dir, 'dist', 'cache')).filter((file) => file.endsWith('.cache'))
  }

  /** A command, a sidecar and a supervisor of that Node, until each has left its cache. */
  async use(node: string): Promise<void> {
    expect(this.mesh(node, 'up')).toMatchObject({ status: 0 })
    expect(this.mesh(node, 'whoami')).toMatchObject({ status: 0, signal: null })
    expect(this.mesh(node, 'run', '--', 'echo', 'hello')).toMatchObject({ status: 0, stdout: 'hello\n' })
    const made = () => this.caches().filter((file) => file.includes(`-${versionOf(node)}-`))
    await expect.poll(() => made().length, { timeout: 60_000, interval: 100 }).toBe(3)
    expect(this.mesh(node, 'down')).toMatchObject({ status: 0 })
  }
}

describe.each([
  ['older', older, newer],
  ['newer', newer, older],
] as const)('a build made by the %s Node', (name, builder, other) => {
  test('the other one runs it, and back', async () => {
    const installed = new Installed(name, builder)
    for (const node of [builder, other, builder]) await installed.use(node)
    expect(installed.caches()).toHaveLength(6)
  })

  test('a build by the other one over it mends itself, whatever cache is there', () => {
    const installed = new Installed(`${name}-rebuilt`, builder)
    const [foreign] = installed.caches() as [string]
    const renamed = foreign.replace(versionOf(builder), versionOf(other))
    const cache = join(installed.dir, 'dist', 'cache')
    cpSync(join(cache, foreign), join(cache, renamed))
    expect(installed.mesh(other, 'version')).toMatchObject({ status: 0 })
    cpSync(join(cache, foreign), join(cache, renamed))
    installed.build(other)
    expect(installed.caches()).toEqual([renamed])
    expect(installed.mesh(other, 'version')).toMatchObject({ status: 0 })
  })
})
