/** What the files of this suite share: a model, a lab with mesh installed, and the test that nothing is left. */
import { rmSync } from 'node:fs'
import { delimiter, dirname } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { testEngineBinary } from '../../support/engine.ts'
import { clientVersion, findClient, hasTmux, kill, type Lab, makeLab, processesWith, Terminal } from './client.ts'
import { eventually } from './eventually.ts'
import { Mesh } from './mesh.ts'
import { type Model, startModel } from './mock-model.ts'

export interface Suite {
  version: string
  /** This version of the client cannot be driven here. Known before set-up. */
  missing: boolean
  claude: string
  model: Model
  lab: Lab
  mesh: Mesh
  terminal: Terminal
}

/** The client of that version, or why it cannot be driven here; the latter is told once per file, loudly. */
function lookFor(version: string): ReturnType<typeof findClient> {
  const found = hasTmux() ? findClient(version) : { missing: 'tmux is not installed' }
  if ('missing' in found)
    console.error(`\nSKIPPED: the real Claude Code ${version} cannot be tested here: ${found.missing}\n`)
  return found
}

const client = lookFor(clientVersion)
/** Why the real client cannot be driven here; null if it can. */
export const missing = 'missing' in client ? client.missing : null

/**
 * Registers set-up and tear-down. The returned object is filled before the first test. `withModule`: the client is on
 * PATH, so that `mesh install` adds the module where the client has such.
 */
export function useSuite(version = clientVersion, withModule = false): Suite {
  const found = version === clientVersion ? client : lookFor(version)
  const suite = { version, missing: 'missing' in found } as Suite
  beforeAll(async () => {
    if ('missing' in found) return
    const model = await startModel()
    const lab = makeLab(model.url)
    lab.env.MESH_ENGINE = await testEngineBinary()
    if (withModule) lab.env.PATH = [dirname(found.path), lab.env.PATH].join(delimiter)
    const mesh = new Mesh(lab)
    const terminal = new Terminal(lab, found.path)
    Object.assign(suite, { claude: found.path, model, lab, mesh, terminal })
    await mesh.run('install')
    await mesh.run('up')
  })
  afterAll(async () => {
    if (!suite.lab) return
    for (const { pid } of processesWith(suite.lab.root)) kill(pid, 'SIGKILL')
    await suite.model.close()
    rmSync(suite.lab.root, { recursive: true, force: true })
  })
  return suite
}

/** Registers the last test of a file: sessions' processes end with them, the operator's and the engine with `mesh down`. */
export function testNothingLeft(suite: Suite): void {
  test.skipIf(suite.missing)('(k) afterwards no process of ours is left, and after mesh down no engine', async () => {
    const { lab, mesh, terminal } = suite
    terminal.close()
    const left = () => processesWith(lab.root).map(({ pid, command }) => `${pid} ${command.slice(0, 200)}`)
    const ofSessions = () => left().filter((line) => /run\/cc-|claude-code\.sh|bin\/claude/.test(line))
    await eventually(
      () => `nothing is left of sessions, but: ${ofSessions().join('; ')}`,
      () => ofSessions().length === 0,
    )
    await mesh.run('down')
    await eventually(
      () => `nothing is left, but: ${left().join('; ')}`,
      () => left().length === 0,
    )
  })
}
