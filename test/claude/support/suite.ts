/** What the files of this suite share: a model, a lab with mesh installed, and the check that nothing is left. */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll } from 'vitest'
import { testEngineBinary } from '../../support/engine.ts'
import { findClient, hasTmux, kill, type Lab, makeLab, processesWith, Terminal } from './client.ts'
import { eventually } from './eventually.ts'
import { Mesh } from './mesh.ts'
import { type Model, startModel } from './mock-model.ts'

export interface Suite {
  claude: string
  model: Model
  lab: Lab
  mesh: Mesh
  terminal: Terminal
}

/** Why the real client cannot be driven here; told once, loudly. */
export const missing = findMissing()

function findMissing(): string | null {
  const client = hasTmux() ? findClient() : { missing: 'tmux is not installed' }
  if (!('missing' in client)) return null
  console.error(`\nSKIPPED: the real Claude Code client cannot be tested here: ${client.missing}\n`)
  return client.missing
}

/** Registers set-up and tear-down. The returned object is filled before the first test. */
export function useSuite(): Suite {
  const suite = {} as Suite
  beforeAll(async () => {
    const client = findClient()
    if (missing || 'missing' in client) return
    const model = await startModel()
    const lab = makeLab(model.url)
    lab.env.MESH_ENGINE = await testEngineBinary()
    const mesh = new Mesh(lab)
    const terminal = new Terminal(lab, client.path)
    Object.assign(suite, { claude: client.path, model, lab, mesh, terminal })
    await mesh.run('install')
    await mesh.run('up')
  })
  afterAll(async () => {
    if (!suite.lab) return
    try {
      await expectNothingLeft(suite)
    } finally {
      for (const { pid } of processesWith(suite.lab.root)) kill(pid, 'SIGKILL')
      await suite.model.close()
      rmSync(suite.lab.root, { recursive: true, force: true })
    }
  })
  return suite
}

/** (k): the sessions' processes end with them, the operator's and the engine with `mesh down`. */
async function expectNothingLeft({ lab, mesh, terminal }: Suite): Promise<void> {
  terminal.close()
  const left = () => processesWith(lab.root).map(({ pid, command }) => `${pid} ${command.slice(0, 200)}`)
  const ofSessions = () => left().filter((line) => /run\/cc-|claude-code\.sh|bin\/claude/.test(line))
  await eventually(
    () => `no process of a session is left, but: ${ofSessions().join('; ')}`,
    () => ofSessions().length === 0,
  )
  await mesh.run('down')
  await eventually(
    () => `no process at all is left, but: ${left().join('; ')}`,
    () => left().length === 0,
  )
}
