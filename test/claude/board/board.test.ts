/**
 * The task board with the real client: the task of a session that dies goes to one that waits for work, which is woken
 * by it, and the dead one, resumed, is refused with the reason. By name (MESH_CLAUDE_FULL) also of one that falls
 * silent, which takes a minute.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Interactive, kill, processesWith, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const isFull = process.env.MESH_CLAUDE_FULL === '1'
const GRACE_SECONDS = 2
/** A session without a heartbeat for 45 s is lost; whoever reads the board looks every 10 s or so. */
const SILENCE_MS = 120_000

interface Task {
  id: string
  owner: string | null
  state: string
  fence: number
  history: { what: string; by: string; at: string }[]
}

describe.skipIf(missing)('a task', () => {
  const sessions: Interactive[] = []
  beforeAll(() => {
    if (missing) return
    const settings = { claimGraceSeconds: GRACE_SECONDS, claimLostSeconds: GRACE_SECONDS }
    writeFileSync(join(suite.lab.meshHome, 'settings.json'), JSON.stringify(settings))
  })
  afterEach(async () => {
    const pids = sessions.splice(0).map(({ pid }) => pid)
    for (const pid of pids) kill(pid, 'SIGKILL')
    const isOver = async () =>
      (await suite.mesh.ps()).every(({ pid, status }) => !pids.includes(pid) || status === 'gone')
    await eventually('the sessions are gone', isOver)
  })

  const start = async (...args: string[]) => {
    const session = await suite.terminal.start({ bypass: true, args })
    sessions.push(session)
    const { name } = await suite.mesh.reaches(session.pid, 'idle')
    return { session, name }
  }
  const show = (id: string) => suite.mesh.json<Task>('task', 'show', id, '--json')
  const command = (...words: string[]) => `node '${meshBin}' ${words.join(' ')}`

  /** The session runs the command in a turn of its own; resolves to its conversation's id once it has answered. */
  async function does(session: Interactive, script: string, call: ReturnType<typeof bash>): Promise<string> {
    suite.model.script(script, [{ call: [call] }, { say: `said ${script}` }])
    await submit(session, `play ${script}`)
    const answered = () =>
      suite.model.requests.find(({ text, fresh }) => text.includes(`play ${script}`) && fresh !== '')
    const { sessionId } = await eventually(`${script} reaches the model`, answered)
    await eventually(`${script} is over`, () => session.screen().includes(`said ${script}`))
    return sessionId
  }

  /** One session holds a task, another waits for the next one and has ended its turn. */
  async function heldAndAwaited(title: string) {
    const { id } = await suite.mesh.json<Task>('task', 'add', title, '--json')
    const [holder, worker] = [await start(), await start()]
    const conversation = await does(holder.session, `hold-${title}`, bash(command('task', 'claim', id)))
    expect(await show(id)).toMatchObject({ state: 'claimed', owner: holder.name, fence: 1 })
    const waiting = bash(command('task', 'claim', '--next', '--wait'))
    await does(worker.session, `wait-${title}`, { ...waiting, input: { ...waiting.input, run_in_background: true } })
    return { id, holder, worker, conversation }
  }

  const isToldOfItsEnd = ({ fresh }: { fresh: string }) => fresh.includes('<task-notification>')

  test('held by a killed session goes to a waiting one; the killed session, resumed, is refused', async () => {
    const { model } = suite
    const { id, holder, worker, conversation } = await heldAndAwaited('killed')
    kill(holder.session.pid, 'SIGKILL')
    const at = Date.now()
    const woken = await eventually('the worker is woken', () => model.requests.find(isToldOfItsEnd))
    console.log(`killed → the worker’s model request: ${woken.at - at} ms, of which ${GRACE_SECONDS * 1000} are grace`)
    const taken = await show(id)
    expect(taken).toMatchObject({ state: 'claimed', owner: worker.name, fence: 2 })
    const told = taken.history.map(({ what }) => what)
    expect(told).toEqual(['added', 'claimed', 'deadline-set', 'claim-fell', 'claimed'])
    const open = Date.parse(taken.history[3]!.at)
    expect(open - at).toBeGreaterThanOrEqual(GRACE_SECONDS * 1000 - 500)

    const back = await start('--resume', conversation)
    expect(back.name).toBe(holder.name)
    await eventually('it reads that its claim fell', () => model.saw('your claim of task')[0])
    await does(back.session, 'finish-killed', bash(command('task', 'done', id)))
    const refusal = /your claim of t_\w+ fell at \S+ \(.* is gone \(killed.*\)\), and (\S+) holds it now/
    const refused = await eventually('it is refused', () => model.requests.find(({ fresh }) => refusal.test(fresh)))
    expect(refusal.exec(refused.fresh)![1]).toBe(worker.name)
    expect(await show(id)).toMatchObject({ state: 'claimed', owner: worker.name })
  })

  test.skipIf(!isFull)(
    'held by a silent session goes to a waiting one; the silent session, back, is refused',
    { timeout: 2 * SILENCE_MS },
    async () => {
      const { mesh, model } = suite
      const { id, holder, worker } = await heldAndAwaited('silent')
      const before = model.requests.length
      const ofHolder = processesWith(`run/cc-${holder.session.pid}`).map(({ pid }) => pid)
      const silenced = [...new Set([holder.session.pid, ...mesh.sidecarProcesses(holder.session.pid), ...ofHolder])]
      for (const pid of silenced) process.kill(pid, 'SIGSTOP')
      const at = Date.now()
      try {
        const woken = await eventually(
          'the worker is woken',
          () => model.requests.slice(before).find(isToldOfItsEnd),
          SILENCE_MS,
        )
        console.log(`silent → the worker’s model request: ${woken.at - at} ms, of which 45 s until it is lost`)
        expect(await show(id)).toMatchObject({ state: 'claimed', owner: worker.name, fence: 2 })
      } finally {
        for (const pid of silenced) process.kill(pid, 'SIGCONT')
      }
      await mesh.reaches(holder.session.pid, 'idle')
      await eventually('it reads that its claim fell', () =>
        model.requests.slice(before).find(({ text }) => text.includes('your claim of task')),
      )
      await does(holder.session, 'finish-silent', bash(command('task', 'done', id)))
      const refusal = /your claim of t_\w+ fell at \S+ \(.* is lost \(no heartbeat\)\), and (\S+) holds it now/
      await eventually('it is refused', () => model.requests.find(({ fresh }) => refusal.test(fresh)))
    },
  )
})

testNothingLeft(suite)
