/**
 * Subagents are runs: each way in which one ends is one truthful end, whatever the client says of it; and its session,
 * which the client tells itself, reads a word of mesh only where that was wrong.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { reports } from '../../support/reports.ts'
import { kill, runPrint, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash, type Model, type ModelRequest, type ToolCall } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'
import { CUT, type Ending, endings, look } from './endings.ts'

const suite = useSuite()
/** Subagents of one turn. */
const AT_ONCE = 10
interface Run {
  runId: string
  kind: string
  name: string
  owner: string
  parent: string | null
  state: string
  reason?: string
}

interface Event {
  type: string
  suspect?: string
  evidence?: string
  result?: string
  usage?: object
  attended?: boolean
}

const launch = (name: string): ToolCall => ({
  name: 'Agent',
  input: { description: name, prompt: `play kid-${name}`, subagent_type: 'general-purpose' },
})
const runs = (): Promise<Run[]> => suite.mesh.json('ps', '--runs', '--json')
const events = async (run: string): Promise<Event[]> =>
  (await suite.mesh.run('events', '--run', run, '--json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Event)

const isOver = ({ state }: Run) => ['completed', 'failed', 'cancelled', 'terminated'].includes(state)

async function ended(name: string): Promise<Run> {
  let seen: Run[] = []
  return eventually(
    () => `${name} is over, but: ${JSON.stringify(seen.map(({ name, state }) => [name, state]))}`,
    async () => {
      seen = await runs()
      return seen.find((run) => run.name === name && isOver(run))
    },
  )
}

/** The end that mesh tells of the run of that name, which has one beginning and one end. */
async function isEnded(name: string, { state, reason, suspect }: Omit<Ending, 'steps' | 'word'>): Promise<Run> {
  const run = await ended(name)
  expect({ name, kind: run.kind, state: run.state, reason: run.reason }).toEqual({
    name,
    kind: 'subagent',
    state,
    reason,
  })
  const told = await events(run.runId)
  expect(told[0]!.type).toBe('run_spawned')
  const ends = told.filter(({ type }) => /_(completed|failed|cancelled|terminated)$/.test(type))
  expect(ends, name).toHaveLength(1)
  expect(told.at(-1)!.type).toBe(`run_${state}`)
  if (suspect) expect(ends[0]!.suspect).toContain(suspect)
  else expect(ends[0]!.suspect).toBeUndefined()
  return run
}

/** What mesh says of runs in a conversation, by their names. */
const words = ({ text }: ModelRequest, name: string) => text.match(new RegExp(`\\[run r_\\w+ ${name} `, 'g')) ?? []
const ofSession = (model: Model, sessionId: string) =>
  model.requests.filter((request) => request.sessionId === sessionId && !request.agentId && !request.auxiliary)

function scripts(prefix: string, list: Record<string, Ending>): void {
  for (const [name, { steps }] of Object.entries(list)) suite.model.script(`kid-${prefix}${name}`, steps)
}

/** A hook of the project's own that stops a subagent in mid-turn. */
function installCut(): void {
  const { settings } = suite.lab
  const read = JSON.parse(readFileSync(settings, 'utf8')) as { hooks: Record<string, object[]> }
  const command = `case $(cat) in *agent_id*${CUT.slice(5)}*) printf '{"continue":false,"stopReason":"enough"}' ;; esac`
  read.hooks.PostToolUse = [
    ...(read.hooks.PostToolUse ?? []),
    { matcher: 'Bash', hooks: [{ type: 'command', command }] },
  ]
  writeFileSync(settings, JSON.stringify(read, null, 2))
}

describe.skipIf(missing)('subagents', () => {
  test('each has one end, and only a wrong report of the client costs its session a message', async () => {
    const { model, mesh, terminal, lab } = suite
    installCut()
    scripts('', endings)
    const gate = join(lab.project, 'gate')
    const until = (file: string) => `until [ -e ${file} ]; do sleep 0.05; done`
    const inBackground = { name: 'Bash', input: { command: until(gate), description: 'x', run_in_background: true } }
    model.script('kid-slow', [{ call: [bash(until(join(lab.project, 'never')))] }])
    model.script('kid-inner', [{ say: 'The inner report.' }])
    model.script('kid-outer', [{ call: [launch('inner')] }, { say: 'I wait for it.' }, { say: 'The outer report.' }])
    model.script('kid-builder', [{ call: [inBackground] }, { say: 'It runs.' }, { say: 'It is built.' }])
    const names = [...Object.keys(endings), 'slow', 'outer', 'builder']
    const stopSlow = () => {
      const slow = model.requests.find(({ agentId, text }) => agentId && text.includes('play kid-slow'))
      return { call: [{ name: 'TaskStop', input: { task_id: slow!.agentId! } }] }
    }
    const find = { name: 'ToolSearch', input: { query: 'select:TaskStop', max_results: 1 } }
    model.script('many', [{ call: names.map(launch) }, { call: [find] }, stopSlow, { say: 'They are on their way.' }])
    const session = await terminal.start()
    const { name: owner } = await mesh.reaches(session.pid, 'idle')
    await submit(session, 'play many')
    for (const [name, ending] of Object.entries(endings)) {
      const run = await isEnded(name, ending)
      expect(run).toMatchObject({ owner })
    }
    await isEnded('slow', { state: 'cancelled', reason: 'stopped' })
    const outer = await isEnded('outer', { state: 'completed', reason: 'finished' })
    expect((await isEnded('inner', { state: 'completed', reason: 'finished' })).parent).toBe(outer.runId)
    const builder = await eventually('the builder waits for what it started', async () =>
      (await runs()).find(({ name, state }) => name === 'builder' && state === 'idle'),
    )
    writeFileSync(gate, '')
    await isEnded('builder', { state: 'completed', reason: 'finished' })
    expect((await events(builder.runId)).map(({ type }) => type)).toContain('run_idle')
    expect((await events((await ended('cutoff')).runId)).at(-1)).toMatchObject({
      evidence: expect.stringMatching(/a tool call.*; the client says completed/),
      usage: expect.anything(),
    })
    const { sessionId } = model.saw('play many')[0]!
    const last = () => ofSession(model, sessionId).at(-1)!
    const wrong = Object.keys(endings).filter((name) => endings[name]!.word)
    await eventually('the session read what was told wrong', () =>
      wrong.every((name) => words(last(), name).length > 0),
    )
    await mesh.reaches(session.pid, 'idle')
    const told = [...names, 'inner'].filter((name) => words(last(), name).length > 0)
    expect(told).toEqual(wrong)
    expect(wrong.map((name) => words(last(), name).length)).toEqual(wrong.map(() => 1))
    kill(session.pid, 'SIGKILL')
    await mesh.reaches(session.pid, 'gone')
    writeFileSync(join(lab.project, 'never'), '')
  })

  test('end with their killed session, as reported by its sidecar', async () => {
    await diesWith('sidecar', () => {})
  })

  test('end with a session that was killed together with its sidecar, as reported by the witness', async () => {
    await diesWith('witness', (pid) => {
      const [loop, sidecar] = suite.mesh.sidecarProcesses(pid)
      for (const one of [loop, sidecar]) if (one) kill(one, 'SIGKILL')
    })
  })

  test('end while the sidecar is away: the restarted sidecar reports it', async () => {
    const { model, mesh, terminal, lab } = suite
    const gate = join(lab.project, 'away')
    model.script('kid-away', [{ call: [bash(`until [ -e ${gate} ]; do sleep 0.05; done`)] }, { say: 'All is well.' }])
    model.script('away', [{ call: [launch('away')] }, { say: 'launched' }])
    const session = await terminal.start()
    await mesh.reaches(session.pid, 'idle')
    await submit(session, 'play away')
    await eventually('its subagent works', async () => (await runs()).some(({ name }) => name === 'away'))
    process.kill(mesh.sidecarPid(session.pid), 'SIGKILL')
    writeFileSync(gate, '')
    await isEnded('away', { state: 'completed', reason: 'finished' })
    kill(session.pid, 'SIGKILL')
    await mesh.reaches(session.pid, 'gone')
  })

  test('in claude -p as well', async () => {
    const { model, lab, claude } = suite
    const some = ['normal', 'announced', 'cutoff', 'bad', 'endless']
    const list = Object.fromEntries(some.map((name) => [name, endings[name]!]))
    scripts('print-', list)
    model.script('print', [{ call: some.map((name) => launch(`print-${name}`)) }, { say: 'launched' }])
    const run = runPrint(lab, claude, 'play print')
    expect(await run.ended).toBe(0)
    for (const [name, ending] of Object.entries(list)) await isEnded(`print-${name}`, ending)
  })

  test.skipIf(!process.env.MESH_CLAUDE_FULL)(
    'over a hundred reports of varied wording are completed, without a suspicion and without a word',
    async () => {
      const { model, mesh, terminal } = suite
      const session = await terminal.start()
      await mesh.reaches(session.pid, 'idle')
      for (let from = 0; from < reports.length; from += AT_ONCE) {
        const batch = reports.slice(from, from + AT_ONCE).map((text, i) => ({ name: `report-${from + i}`, text }))
        for (const { name, text } of batch) model.script(`kid-${name}`, [{ call: [look] }, { say: text }])
        model.script(`reports-${from}`, [{ call: batch.map(({ name }) => launch(name)) }, { say: 'launched' }])
        await mesh.reaches(session.pid, 'idle')
        await submit(session, `play reports-${from}`)
        for (const { name } of batch) await isEnded(name, { state: 'completed', reason: 'finished' })
      }
      await mesh.reaches(session.pid, 'idle')
      const { sessionId } = model.saw('play reports-0')[0]!
      expect(ofSession(model, sessionId).flatMap((request) => words(request, 'report-\\d+'))).toEqual([])
      kill(session.pid, 'SIGKILL')
      await mesh.reaches(session.pid, 'gone')
    },
    600_000,
  )

  test.skipIf(!process.env.MESH_CLAUDE_FULL)('of a resumed session are reported by the client alone', async () => {
    const { model, mesh, terminal } = suite
    const pid = await diesWith('resumed', () => {})
    const { sessionId } = model.saw('play dies-resumed')[0]!
    const session = await terminal.start({ args: ['--resume', sessionId] })
    await mesh.reaches(session.pid, 'idle')
    await submit(session, `hello-${pid}`)
    const request = await eventually('the model reads the prompt', () => model.saw(`hello-${pid}`)[0])
    expect(request.text).toContain("didn't finish before the previous session ended")
    await mesh.reaches(session.pid, 'idle')
    expect(words(ofSession(model, sessionId).at(-1)!, 'of-resumed')).toEqual([])
    kill(session.pid, 'SIGKILL')
    await mesh.reaches(session.pid, 'gone')
  })

  async function diesWith(name: string, before: (pid: number) => void): Promise<number> {
    const { model, mesh, terminal, lab } = suite
    const gate = join(lab.project, `end-${name}`)
    model.script(`kid-of-${name}`, [{ call: [bash(`until [ -e ${gate} ]; do sleep 0.05; done`)] }])
    model.script(`dies-${name}`, [{ call: [launch(`of-${name}`)] }, { say: 'launched' }])
    const session = await terminal.start()
    await mesh.reaches(session.pid, 'idle')
    await submit(session, `play dies-${name}`)
    await eventually('its subagent works', async () => (await runs()).some((run) => run.name === `of-${name}`))
    process.kill(session.pid, 'SIGSTOP')
    before(session.pid)
    kill(session.pid, 'SIGKILL')
    await isEnded(`of-${name}`, { state: 'terminated', reason: 'its session ended' })
    // The command of a client that was killed goes on.
    writeFileSync(gate, '')
    return session.pid
  }
})

testNothingLeft(suite)
