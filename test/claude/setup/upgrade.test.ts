/**
 * An upgrade under everything that lives: five sessions of the real client, unread mail, tasks, state, two long runs.
 * From 0.1.0, or from the revisions that MESH_TEST_UPGRADE_FROM names (with commas between them).
 */
import { cpSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testEngineBinary } from '../../support/engine.ts'
import { buildRevision, hasRevision, RELEASED } from '../../support/revision.ts'
import {
  clientVersion,
  findClient,
  type Interactive,
  kill,
  makeLab,
  processesWith,
  submit,
  Terminal,
} from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Mesh } from '../support/mesh.ts'
import { bash, startModel } from '../support/mock-model.ts'
import { missing, type Suite } from '../support/suite.ts'

const SESSIONS = 5
const MESSAGES = 20
/** Everybody hears and speaks within this time of the upgrade. */
const UPGRADED_MS = 60_000
/** What of a checkout is the package. */
const PACKAGE = ['bin', 'dist', 'plugin', '.claude-plugin', 'deploy', 'package.json']

const revisions = (process.env.MESH_TEST_UPGRADE_FROM ?? RELEASED).split(',')
const here = fileURLToPath(new URL('../../..', import.meta.url))

describe.skipIf(missing !== null).each(revisions)('an upgrade from %s', (revision) => {
  const suite = {} as Omit<Suite, 'version' | 'missing'>
  let sessions: (Interactive & { name: string })[]
  let unread: string[]
  let runs: string[]
  const installed = () => join(suite.lab.root, 'package')
  const gate = (run: string) => join(suite.lab.project, `end-${run}`)
  const engines = () =>
    processesWith(suite.lab.root).filter(({ command }) => /nats-server[^ ]* .*server\.conf/.test(command))

  /** The package in the place of the one before, as `npm install -g` does it. */
  function install(from: string): void {
    const fresh = `${installed()}.new`
    for (const name of PACKAGE.filter((entry) => existsSync(join(from, entry))))
      cpSync(join(from, name), join(fresh, name), { recursive: true })
    if (existsSync(installed())) renameSync(installed(), `${installed()}.old`)
    renameSync(fresh, installed())
    rmSync(`${installed()}.old`, { recursive: true, force: true })
  }

  const longRun = (name: string) => `until [ -e ${gate(name)} ]; do sleep 0.05; done; echo ${name}-is-over >&2; exit 7`
  const textsOf = (messages: { text: string }[]) => messages.map(({ text }) => text).sort()

  beforeAll(async () => {
    if (!hasRevision(revision)) return
    const client = findClient(clientVersion) as { path: string }
    const model = await startModel()
    const lab = makeLab(model.url)
    lab.env.MESH_ENGINE = await testEngineBinary()
    const terminal = new Terminal(lab, client.path)
    Object.assign(suite, { claude: client.path, model, lab, terminal })
    suite.mesh = new Mesh(lab, join(installed(), 'bin', 'mesh.js'))
    install(buildRevision(revision))
    await suite.mesh.run('install')
    await suite.mesh.run('up')
  })

  afterAll(async () => {
    if (!suite.lab) return
    suite.terminal.close()
    for (const { pid } of processesWith(suite.lab.root)) kill(pid, 'SIGKILL')
    await suite.model.close()
    rmSync(suite.lab.root, { recursive: true, force: true })
  })

  /** Each of them is woken by a message, and sends one in that turn. */
  async function allHearAndSpeak(round: string): Promise<void> {
    const { mesh, model } = suite
    await Promise.all(
      sessions.map(async (session) => {
        const [heard, said] = [`hear-${round}-${session.pid}`, `say-${round}-${session.pid}`]
        model.script(said, [
          { call: [bash(`node '${join(installed(), 'bin', 'mesh.js')}' send boss -- ${said}`)] },
          { say: 'said' },
        ])
        await mesh.send(session.name, `${heard}: play ${said}`)
        await eventually(`${session.name} reads ${heard}`, () => model.saw(heard)[0], UPGRADED_MS)
      }),
    )
    const words = sessions.map(({ pid }) => `say-${round}-${pid}`)
    const read: string[] = []
    await eventually(
      () => `${words.join(' ')} arrive, but ${read.join(' ')}`,
      async () => {
        read.push(...textsOf(await mesh.json('inbox', '--as', 'boss', '--json')))
        return words.every((word) => read.includes(word))
      },
      UPGRADED_MS,
    )
    expect(read.filter((text) => words.includes(text)).sort()).toEqual(words.sort())
  }

  test.runIf(hasRevision(revision))('before it: sessions, mail, tasks, state and runs are there', async () => {
    const { mesh, model, terminal } = suite
    sessions = await Promise.all(
      Array.from({ length: SESSIONS }, async () => {
        const session = await terminal.start({ bypass: true })
        const { name } = await mesh.reaches(session.pid, 'idle')
        return { ...session, name }
      }),
    )
    await mesh.run('whoami', '--as', 'boss')
    await mesh.run('whoami', '--as', 'reader')
    unread = Array.from({ length: MESSAGES }, (_, i) => `unread ${String(i).padStart(3, '0')}`)
    for (const text of unread) await mesh.run('send', 'reader', '--as', 'boss', '--', text)
    const add = (title: string) => mesh.json<{ id: string }>('task', 'add', title, '--as', 'boss', '--json')
    const [held] = [await add('held'), await add('open'), await add('done')]
    await mesh.run('task', 'claim', held!.id, '--as', 'reader')
    await mesh.run('state', 'set', 'plan', 'survive the upgrade', '--as', 'boss')
    await mesh.run('claim', 'src/**', '--as', 'reader')
    const owned = sessions[0]!
    const script = `run-${owned.pid}`
    const command = `node '${join(installed(), 'bin', 'mesh.js')}' run --detach --json --name sessions -- sh -c '${longRun('sessions')}'`
    model.script(script, [{ call: [bash(command)] }, { say: 'I wait.' }])
    await submit(owned, `play ${script}`)
    const bosses = await mesh.json<{ runId: string }>(
      ...['run', '--as', 'boss', '--detach', '--json', '--name', 'bosses', '--', 'sh', '-c', longRun('bosses')],
    )
    const started = await eventually('the session’s run was started', () =>
      model.requests.map(({ fresh }) => /"runId":"(r_[0-9a-f]{32})"/.exec(fresh)?.[1]).find(Boolean),
    )
    runs = [bosses.runId, started]
    await mesh.reaches(owned.pid, 'idle')
    await allHearAndSpeak('before')
  })

  test.runIf(hasRevision(revision))(
    'all of them hear and speak, nothing is lost, and there is one engine',
    async () => {
      const { mesh } = suite
      const engine = engines().map(({ pid }) => pid)
      install(here)
      await mesh.run('install')
      const at = Date.now()
      await allHearAndSpeak('after')
      console.log(`${SESSIONS} sessions heard and spoke ${Date.now() - at} ms after the upgrade from ${revision}`)
      expect(Date.now() - at).toBeLessThan(UPGRADED_MS)
      expect(engines().map(({ pid }) => pid)).toEqual(engine)
      expect(engine).toHaveLength(1)
      expect(textsOf(await mesh.json('inbox', '--as', 'reader', '--json'))).toEqual(unread)
      const tasks = await mesh.json<{ title: string; state: string; owner?: string }[]>(
        'task',
        'list',
        'all',
        '--as',
        'boss',
        '--json',
      )
      expect(tasks.map(({ title }) => title).sort()).toEqual(['done', 'held', 'open'])
      expect(tasks.find(({ title }) => title === 'held')).toMatchObject({ owner: 'reader' })
      expect(await mesh.json('state', 'get', 'plan', '--as', 'boss', '--json')).toBe('survive the upgrade')
    },
  )

  test.runIf(hasRevision(revision))('the end of a run of the old supervisor reaches its owner', async () => {
    const { mesh, model } = suite
    const [ofBoss] = runs
    writeFileSync(gate('sessions'), '')
    const request = await eventually('the session reads the end', () => model.saw('sessions-is-over')[0])
    expect(request.fresh).toMatch(/run r_[0-9a-f]{10} sessions failed: exit 7/)
    writeFileSync(gate('bosses'), '')
    const ended = await eventually('the run of the boss has ended', async () =>
      (await mesh.json<{ runId: string; state: string }[]>('ps', '--runs', '--as', 'boss', '--json')).find(
        ({ runId, state }) => runId === ofBoss && state === 'failed',
      ),
    )
    expect(ended).toBeDefined()
  })

  test.runIf(hasRevision(revision))('sidecars of the new build take over where the old ones are killed', async () => {
    const { mesh } = suite
    const old = new Map(sessions.map(({ pid }) => [pid, mesh.sidecarPid(pid)]))
    for (const pid of old.values()) kill(pid, 'SIGKILL')
    await Promise.all(
      sessions.map(({ pid }) =>
        eventually(`another sidecar of ${pid}`, () => mesh.sidecarPid(pid) !== old.get(pid), UPGRADED_MS),
      ),
    )
    await allHearAndSpeak('anew')
    for (const { pid, name } of sessions) expect((await mesh.reaches(pid, 'idle')).name).toBe(name)
    expect(engines()).toHaveLength(1)
  })
})
