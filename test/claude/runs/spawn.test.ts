/** Child sessions: their parent, which had ended its turn, is woken by how they ended, whatever that was, once. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { childEnv } from '../../../src/harness/claude-code/spawn/launch.ts'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash, type Step } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
let parent: Interactive & { name: string }
let count = 0

interface Run {
  runId: string
  name: string
  owner: string
  parent: string | null
  lineage: string[]
  state: string
  pid: number
}

interface Event {
  type: string
  at: string
  name: string
  reason?: string
  result?: string
  suspect?: string
  text?: string
  usage?: { inputTokens: number; outputTokens: number; cost?: number }
}

/** A word that occurs nowhere else. */
const word = (what: string) => `${what}-${process.pid}-${++count}`

/** A step of the model that waits until it is opened. */
function gate(): { open(): void; then(step: Step): Step } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return {
    open: () => open(),
    // biome-ignore lint/suspicious/noThenProperty: it is no promise, and nobody awaits it
    then: (step) => async (request) => {
      await opened
      return typeof step === 'function' ? step(request) : step
    },
  }
}

/** The parent starts children, one command each, and ends its turn. */
async function spawns(...commands: string[]): Promise<void> {
  const name = word('spawns')
  suite.model.script(name, [{ call: [bash(commands.join('\n'))] }, { say: 'I wait for them.' }])
  await submit(parent, `play ${name}`)
  await eventually('the parent ended its turn', () =>
    suite.model.saw(`play ${name}`).some(({ fresh }) => / pid \d/.test(fresh)),
  )
  await suite.mesh.reaches(parent.pid, 'idle')
}

async function eventsOf(name: string): Promise<Event[]> {
  const text = await suite.mesh.run('events', '--run', name, '--json')
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Event)
}

async function seen(name: string, type: RegExp): Promise<Event> {
  return eventually(
    `${type} of ${name}`,
    async () => (await eventsOf(name)).find((event) => type.test(event.type)),
    90_000,
  )
}

const ENDS = /^run_(completed|failed|cancelled|terminated)$/

async function runOf(name: string): Promise<Run> {
  return (await suite.mesh.json<Run[]>('tree', '--json')).find((run) => run.name === name)!
}

/** How often the parent's conversation holds these words. */
function told(words: string): number {
  return conversation().split(words).length - 1
}

/** What the parent has read of a child, in the order of its conversation: each news is headed with the run's id and name. */
function newsOf(name: string): string[] {
  const heads = new RegExp(`\\[run r_[0-9a-f]{10} ${name} ([^\\]:]+)`, 'g')
  return [...conversation().matchAll(heads)].map(([, news]) => news!)
}

function conversation(): string {
  return suite.model.requests.findLast((one) => !one.auxiliary && one.sessionId === parentSession())?.text ?? ''
}

function parentSession(): string {
  const entry = join(suite.lab.configDir, 'sessions', `${parent.pid}.json`)
  return JSON.parse(readFileSync(entry, 'utf8')).sessionId
}

describe.skipIf(missing)('a child session', () => {
  beforeAll(async () => {
    const { lab, claude, terminal, mesh } = suite
    const bin = join(lab.root, 'bin')
    mkdirSync(bin)
    symlinkSync(claude, join(bin, 'claude'))
    writeFileSync(join(bin, 'mesh'), `#!/bin/sh\nexec '${process.execPath}' '${meshBin}' "$@"\n`, { mode: 0o755 })
    lab.env.PATH = `${bin}:${lab.env.PATH}`
    const session = await terminal.start({ bypass: true, env: { MESH_NAME: 'parent' } })
    const { name } = await mesh.reaches(session.pid, 'idle')
    parent = { ...session, name }
  })

  test('finishes: its parent’s next request comes by itself and holds the result once', async () => {
    const { model } = suite
    const report = word('report')
    const ends = gate()
    model.script('fine', [{ call: [bash('env > child.env')] }, ends.then({ say: `All of it is done: ${report}.` })])
    await spawns("mesh spawn --name fine -- '--version play fine'")
    const asked = await eventually('the child works', () =>
      model.requests.find(({ fresh }) => fresh.includes('--version play fine')),
    )
    expect(asked.text).toMatch(/You are "fine" on mesh.*\n"parent" started you/)
    expect(model.saw(report)).toEqual([])
    ends.open()
    const request = await eventually('the parent reads it', () =>
      model.saw(report).find(({ sessionId }) => sessionId === parentSession()),
    )
    const end = await seen('fine', ENDS)
    console.log(`end of a child → its parent’s model request: ${request.at - Date.parse(end.at)} ms`)
    expect(end).toMatchObject({ type: 'run_completed', reason: 'finished', result: `All of it is done: ${report}.` })
    expect(end.usage).toMatchObject({ inputTokens: 200, outputTokens: 20, cost: expect.any(Number) })
    expect(request.fresh).toMatch(/\[run r_[0-9a-f]{10} fine completed: finished after \d+\.\d s\]/)
    await suite.mesh.reaches(parent.pid, 'idle')
    expect(told(report)).toBe(1)
    await ofItsOwn()
  })

  /** The child is a session like any other, and no child of its parent's client. */
  async function ofItsOwn(): Promise<void> {
    const { lab, mesh } = suite
    const lines = readFileSync(join(lab.project, 'child.env'), 'utf8').split('\n')
    const env = Object.fromEntries(lines.map((line) => line.split('=', 2) as [string, string]))
    const { runId, lineage } = await runOf('fine')
    expect(env.MESH_RUN_ID).toBe(runId)
    expect(env.MESH_LINEAGE).toBe([...lineage, runId].join(','))
    expect(lineage).toHaveLength(1)
    expect((await mesh.ps()).find(({ name }) => name === 'fine')).toMatchObject({
      status: 'gone',
      harness: 'claude-code',
    })
    // What the client adds for its shells is known, nothing of it may reach a grandchild; zsh itself adds LOGNAME.
    const shells =
      /^(PWD|OLDPWD|SHLVL|SHELL|LOGNAME|_|GIT_EDITOR|COREPACK_ENABLE_AUTO_PIN|NoDefaultCurrentDirectoryInExePath|MESH_\w+|)$/
    const added = Object.keys(childEnv(env)).filter((key) => !(key in lab.env) && !shells.test(key))
    expect(added).toEqual([])
  }

  test('ends in other ways: each is reported for what it was, and wakes the parent once', async () => {
    const { model, mesh } = suite
    const cut: Step[] = Array.from({ length: 5 }, () => ({ say: 'and on', stop: 'max_tokens' }))
    const hold = gate()
    model.script('refused', [{ fail: 400 }])
    model.script('cut', cut)
    model.script('announced', [{ say: 'Now let me run the tests:' }])
    model.script('killed', [hold.then({ say: 'never' })])
    model.script('misfit', [
      { call: [bash(`mesh done --result '{"n":"many"}' || true`)] },
      { call: [bash(`mesh done --result '{"n":12}'`)] },
      { say: 'I handed it in.' },
    ])
    model.script('empty-handed', [{ say: 'It works now.' }])
    writeFileSync(
      join(suite.lab.project, 'n.json'),
      '{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}',
    )
    const names = ['refused', 'cut', 'announced', 'killed']
    await spawns(
      ...names.map((name) => `mesh spawn --name ${name} -- 'play ${name}'`),
      "mesh spawn --schema n.json --name misfit -- 'play misfit'",
      "mesh spawn --schema n.json --name empty-handed -- 'play empty-handed'",
    )
    await eventually('the one to kill works', () => model.requests.find(({ fresh }) => fresh.includes('play killed')))
    const { pid } = await runOf('killed')
    const at = Date.now()
    kill(pid, 'SIGKILL')
    const killed = await seen('killed', ENDS)
    console.log(`kill -9 of a child → its end: ${Date.parse(killed.at) - at} ms`)
    const ends = Object.fromEntries(
      await Promise.all(
        [...names, 'misfit', 'empty-handed'].map(async (name) => [name, await seen(name, ENDS)] as const),
      ),
    )
    expect(ends).toMatchObject({
      refused: { type: 'run_terminated', reason: expect.stringContaining('API error') },
      cut: { type: 'run_terminated', reason: 'max_tokens' },
      announced: { type: 'run_completed', suspect: expect.stringContaining('Now let me run the tests') },
      killed: { type: 'run_terminated', reason: 'signal SIGKILL' },
      misfit: { type: 'run_completed', reason: 'mesh done', result: '{"n":12}' },
      'empty-handed': { type: 'run_failed', reason: 'no result that fits its schema' },
    })
    expect(model.saw('play misfit')[0]!.text).toMatch(/give your result as JSON .*\nmesh done --result[\s\S]*"integer"/)
    const [misfit] = model.saw('the result does not fit')
    expect(misfit!.fresh).toContain('/n: Instance type "string" is invalid. Expected "integer"')
    // The words of mesh spawn, which the parent has read before, name its children too.
    for (const name of Object.keys(ends))
      await eventually(`the parent has news of ${name}`, () => newsOf(name).length > 0)
    await mesh.reaches(parent.pid, 'idle')
    const news = Object.fromEntries(Object.keys(ends).map((name) => [name, newsOf(name)]))
    expect(news).toEqual(Object.fromEntries(Object.entries(ends).map(([name, { type }]) => [name, [type.slice(4)]])))
    expect((await runOf('misfit')).state).toBe('completed')
  })

  test('starts a child of its own and waits for it: the result reaches the root', async () => {
    const { model } = suite
    const report = word('deepest')
    model.script('grandchild', [{ say: report }])
    const script = "mesh spawn --name grandchild -- 'play grandchild' && mesh wait grandchild"
    model.script('middle', [{ call: [bash(script)] }, { say: 'It told me.' }])
    await spawns("mesh spawn --name middle -- 'play middle'")
    await seen('middle', ENDS)
    const [middle, grandchild] = [await runOf('middle'), await runOf('grandchild')]
    expect(middle).toMatchObject({ owner: 'parent', state: 'completed' })
    expect(grandchild).toMatchObject({ owner: 'middle', parent: middle.runId, state: 'completed' })
    expect(grandchild.lineage).toEqual([...middle.lineage, middle.runId])
    const asked = model.saw(report).filter(({ fresh }) => fresh.includes(report))
    // What waits for a child by its name is told of the run, not of the session.
    expect(asked.map(({ fresh }) => fresh).join()).toContain('run_completed')
  })

  test('fails after every session between it and the root has ended: the root is notified', async () => {
    const { model, mesh } = suite
    const fails = gate()
    model.script('leaf', [fails.then({ fail: 400 })])
    model.script('mid', [{ call: [bash("mesh spawn --name leaf -- 'play leaf'")] }, { say: 'It works on it.' }])
    model.script('top', [{ call: [bash("mesh spawn --name mid -- 'play mid'")] }, { say: 'It sees to it.' }])
    await spawns("mesh spawn --name top -- 'play top'")
    for (const name of ['top', 'mid']) {
      await seen(name, ENDS)
      await eventually(`${name} is gone`, async () =>
        (await mesh.ps()).some((one) => one.name === name && one.status === 'gone'),
      )
    }
    fails.open()
    const end = await seen('leaf', ENDS)
    const request = await eventually('the root reads it', () =>
      model.requests.find(
        ({ sessionId, fresh }) => sessionId === parentSession() && fresh.includes(' leaf terminated: API error'),
      ),
    )
    console.log(`end of a great-grandchild → the root’s model request: ${request.at - Date.parse(end.at)} ms`)
    expect(await runOf('leaf')).toMatchObject({ owner: 'parent' })
    await mesh.reaches(parent.pid, 'idle')
    expect(newsOf('leaf')).toEqual(['terminated'])
  })

  test('waits for a permission in the background: its parent is notified, and ends it', async () => {
    const { model, mesh } = suite
    model.script('asks', [{ call: [{ name: 'Write', input: { file_path: '/etc/mesh-test', content: 'x' } }] }])
    model.script('lives-on', [{ call: [bash(`mesh done --result '"it is out"'`)] }, { say: 'Told.' }])
    await spawns("mesh spawn --bg --name asks -- 'play asks'", "mesh spawn --bg --name lives-on -- 'play lives-on'")
    const waiting = await seen('asks', /^run_waiting$/)
    expect(waiting.text).toContain('permission')
    await eventually('the parent has news of it', () => newsOf('asks').includes('waits'))
    const { pid } = await runOf('asks')
    expect(await mesh.sessionOf(pid)).toMatchObject({ name: 'asks', status: 'waiting' })
    const stopped = await mesh.json<Event>('stop', 'asks', '--json')
    expect(stopped).toMatchObject({ type: 'run_cancelled' })
    await mesh.reaches(pid, 'gone')
    // One that says that it is done is over with its turn, and goes on as a session.
    expect(await seen('lives-on', ENDS)).toMatchObject({ type: 'run_completed', result: '"it is out"' })
    expect((await eventsOf('lives-on')).map(({ type }) => type)).toEqual(['run_spawned', 'run_completed'])
    const lives = await runOf('lives-on')
    expect(await mesh.sessionOf(lives.pid)).toMatchObject({ name: 'lives-on', status: 'idle' })
    const [, stop] = /(claude stop \w+)/.exec(await mesh.run('logs', 'lives-on'))!
    execFileSync(suite.claude, stop!.split(' ').slice(1), { env: suite.lab.env, stdio: 'ignore' })
    await mesh.reaches(lives.pid, 'gone')
  })

  afterAll(async () => {
    const { lab, claude } = suite
    execFileSync(claude, ['daemon', 'stop', '--any'], { env: lab.env, cwd: lab.project, stdio: 'ignore' })
  })
})

testNothingLeft(suite)
