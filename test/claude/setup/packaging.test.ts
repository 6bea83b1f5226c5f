/** The ways to install: for one repository, as a plugin, both at once; permission rules; the way back. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type Interactive,
  kill,
  type Lab,
  makeLab,
  processesWith,
  runPrint,
  submit,
  Terminal,
} from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Mesh, meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const times = (text: string, word: string) => text.split(word).length - 1
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])

/** A lab with nothing installed, and `claude` and `mesh` on PATH. */
function freshLab(): { lab: Lab; mesh: Mesh } {
  const lab = makeLab(suite.model.url, suite.lab.root)
  const bin = join(lab.root, 'bin')
  mkdirSync(bin)
  symlinkSync(meshBin, join(bin, 'mesh'))
  lab.env.MESH_ENGINE = suite.lab.env.MESH_ENGINE!
  lab.env.PATH = [bin, dirname(suite.claude), lab.env.PATH].join(delimiter)
  return { lab, mesh: new Mesh(lab) }
}

const claude = (lab: Lab, ...args: string[]) =>
  execFileSync(suite.claude, args, {
    env: lab.env,
    cwd: lab.project,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })

const labs: { lab: Lab; terminal?: Terminal }[] = []
afterEach(() => {
  for (const { lab, terminal } of labs.splice(0)) {
    terminal?.close()
    for (const { pid } of processesWith(lab.root)) kill(pid, 'SIGKILL')
  }
})

async function startIdle(lab: Lab, mesh: Mesh): Promise<{ session: Interactive; name: string }> {
  const terminal = new Terminal(lab, suite.claude)
  labs.push({ lab, terminal })
  const session = await terminal.start()
  return { session, name: (await mesh.reaches(session.pid, 'idle')).name }
}

/** Joins, is woken idle and reached busy by the plugin's module: each told once, by one sidecar. */
async function expectJoined(lab: Lab, mesh: Mesh): Promise<void> {
  const { model } = suite
  const { session, name } = await startIdle(lab, mesh)
  const hasModule = async () => (await mesh.sessionOf(session.pid))?.wake[0]?.startsWith('mod')
  await eventually("the plugin's module is the first door", hasModule)
  const idle = `idle-${session.pid}`
  await mesh.send(name, idle)
  await readBy(idle)
  await mesh.reaches(session.pid, 'idle')
  const [script, busy] = [`pack-${session.pid}`, `busy-${session.pid}`]
  model.script(script, [{ call: [bash('until [ -e go ]; do sleep 0.05; done; echo released')] }, { say: 'done' }])
  await submit(session, `play ${script}`)
  await mesh.reaches(session.pid, 'busy')
  const { id } = await mesh.send(name, busy)
  await mesh.traced(id, 'delivered')
  writeFileSync(join(lab.project, 'go'), '')
  expect((await readBy(busy)).fresh).toContain('released')
  expect((await mesh.traced(id, 'surfaced')).evidence).toContain('note of a module')
  await mesh.reaches(session.pid, 'idle')
  const last = model.requests.filter(({ auxiliary, text }) => !auxiliary && text.includes(busy)).at(-1)!
  expect([idle, busy, `You are "${name}" on mesh`].map((words) => times(last.text, words))).toEqual([1, 1, 1])
  expect(mesh.sidecarProcesses(session.pid)).toHaveLength(2)
  const sidecars = processesWith(lab.root).filter(({ command }) => command.includes(`sidecar.js claude-code`))
  expect(sidecars).toHaveLength(1)
  expect(session.screen()).not.toMatch(/hook (error|failed)/i)
}

describe.skipIf(missing)('installed', () => {
  test('--project: sessions of this repository join, also from further down, and nobody else', async () => {
    const { lab, mesh } = freshLab()
    labs.push({ lab })
    const before = readFileSync(lab.settings, 'utf8')
    await mesh.run('install', '--project')
    expect(readFileSync(lab.settings, 'utf8')).toBe(before)
    const below = join(lab.project, 'src')
    mkdirSync(below)
    for (const [at, words] of [
      [lab.project, 'project-top'],
      [below, 'project-below'],
    ] as const) {
      const run = runPrint({ ...lab, project: at }, suite.claude, words)
      expect(await run.ended).toBe(0)
      expect((await readBy(words)).text).toMatch(/You are "[^"]+" on mesh/)
    }
    const elsewhere = join(lab.root, 'elsewhere')
    mkdirSync(elsewhere)
    await runPrint({ ...lab, project: elsewhere }, suite.claude, 'not-in-project').ended
    expect((await readBy('not-in-project')).text).not.toContain('on mesh')
    await mesh.run('uninstall')
    expect(existsSync(join(lab.project, '.claude'))).toBe(false)
  })

  test('--plugin: the client accepts it; a session joins, is woken when idle and reached when busy', async () => {
    const { lab, mesh } = freshLab()
    const before = readFileSync(lab.settings, 'utf8')
    await mesh.run('install', '--plugin')
    const here = fileURLToPath(new URL('../../..', import.meta.url))
    for (const dir of [here, join(here, 'plugin'), join(lab.meshHome, 'claude-code', 'plugin')])
      expect(claude(lab, 'plugin', 'validate', '--strict', dir)).toContain('Validation passed')
    expect(JSON.parse(readFileSync(lab.settings, 'utf8')).hooks).toBeUndefined()
    await expectJoined(lab, mesh)
    expect(suite.model.requests.at(-1)!.text).toContain('mesh:mesh')
    await mesh.run('uninstall')
    expect(readFileSync(lab.settings, 'utf8')).toBe(before)
    expect(claude(lab, 'plugin', 'list')).not.toContain('sessionmesh')
    expect(claude(lab, 'plugin', 'marketplace', 'list')).not.toContain('sessionmesh')
  })

  test("the package's own folder is a marketplace as well: by the client's commands alone, without mesh install", async () => {
    const { lab, mesh } = freshLab()
    claude(lab, 'plugin', 'marketplace', 'add', fileURLToPath(new URL('../../..', import.meta.url)))
    claude(lab, 'plugin', 'install', 'mesh@sessionmesh')
    await expectJoined(lab, mesh)
    expect((await mesh.json<{ places: object[] }>('uninstall', '--json')).places).toHaveLength(1)
    expect(claude(lab, 'plugin', 'list')).not.toContain('sessionmesh')
  })

  test('in every way at once: nothing is doubled', async () => {
    const { lab, mesh } = freshLab()
    const before = readFileSync(lab.settings, 'utf8')
    for (const way of [[], ['--project'], ['--plugin']]) await mesh.run('install', ...way)
    await expectJoined(lab, mesh)
    await mesh.run('uninstall')
    expect(readFileSync(lab.settings, 'utf8')).toBe(before)
    expect(existsSync(join(lab.project, '.claude'))).toBe(false)
  })

  test('--plugin, and then all of mesh removed: sessions go on unharmed', async () => {
    const { lab, mesh } = freshLab()
    await mesh.run('install', '--plugin')
    labs.push({ lab })
    for (const [gone, words] of [
      [join(lab.meshHome, 'hooks'), 'no-script'],
      [lab.meshHome, 'no-home'],
    ] as const) {
      rmSync(gone, { recursive: true })
      suite.model.script(words, [{ call: [bash('echo a-tool-ran')] }, { say: 'unharmed' }])
      const run = runPrint(lab, suite.claude, `play ${words}`)
      expect([await run.ended, run.output()]).toEqual([0, 'unharmed\n'])
      const requests = suite.model.saw(`play ${words}`)
      expect(requests).toHaveLength(2)
      expect(requests[1]!.text).not.toMatch(/hook (blocking )?error/i)
    }
  })

  test('--allow: in default mode the model runs mesh ps without a dialog, and nothing else of mesh', async () => {
    const { lab, mesh } = freshLab()
    labs.push({ lab })
    const text = JSON.stringify({ permissions: { defaultMode: 'default', allow: ['Read'] } })
    writeFileSync(lab.settings, text)
    const play = async (name: string, command: string) => {
      suite.model.script(name, [{ call: [bash(command)] }, { say: 'done' }])
      expect(await runPrint(lab, suite.claude, `play ${name}`).ended).toBe(0)
      return suite.model.saw(`play ${name}`).at(-1)!.fresh
    }
    await mesh.run('install')
    expect(await play('not-allowed', 'mesh ps')).toMatch(/permission|approval/i)
    await mesh.run('install', '--allow')
    expect(await play('allowed', 'mesh ps')).toMatch(/NAME +STATUS/)
    expect(await play('allowed-quotes', 'mesh send operator -- "it\'s; done & 5 > 4"')).toMatch(/m_[0-9a-f]+ stored/)
    expect(await play('other-command', 'mesh uninstall')).toMatch(/permission|approval/i)
    expect(await play('second-part', 'mesh ps; touch evil')).toMatch(/permission|approval/i)
    expect(existsSync(join(lab.project, 'evil'))).toBe(false)
    await mesh.run('uninstall')
    expect(readFileSync(lab.settings, 'utf8')).toBe(text)
  })
})

testNothingLeft(suite)
