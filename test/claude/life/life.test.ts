/** Whatever becomes of a conversation, its name, epoch, mail and sidecar are right afterwards. */
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Life, startTexts } from '../support/life.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const life = new Life(suite)
const times = (text: string, word: string) => text.split(word).length - 1
/** Fills the context window of the model that the client picks: it compacts before the next prompt. */
const FULL_TOKENS = 990_000

const living: Interactive[] = []
async function start(...args: string[]) {
  const session = await life.start({ args })
  living.push(session)
  return session
}
afterEach(async () => {
  for (const session of living.splice(0)) await life.end(session)
})

/** A session that has something to resume. */
async function talk(...args: string[]) {
  const session = await start(...args)
  const { sessionId } = await life.say(session, `hello ${session.pid}`)
  await life.isWritten(session.pid, sessionId)
  return { ...session, sessionId, epoch: life.record(session.pid).epoch }
}

describe.skipIf(missing)('a conversation', () => {
  test('/clear, /compact, compaction by itself, /branch and /resume in one process', async () => {
    const { model } = suite
    const session = await start()
    const { pid, name } = session
    const first = (await life.say(session, `hello ${pid}`)).sessionId
    const { epoch } = life.record(pid)
    await life.isRight(pid, { name, epoch, sessionId: first })

    await submit(session, '/clear')
    await eventually('another conversation', () => life.registry(pid).sessionId !== first)
    const cleared = await life.isRight(pid, { name, epoch })
    expect(times(cleared.text, `hello ${pid}`)).toBe(0)
    const second = cleared.sessionId

    const before = model.requests.length
    await submit(session, '/compact')
    await eventually('a summary', () => model.requests.length > before)
    await eventually('it is compacted', () => /compacted/i.test(session.screen()))
    const compacted = await life.isRight(pid, { name, epoch, sessionId: second })
    expect(times(compacted.text, `You are "${name}"`)).toBe(1)

    model.script(`fill-${pid}`, [{ say: 'filled', inputTokens: FULL_TOKENS }])
    await life.say(session, `play fill-${pid}`)
    const prompt = await life.say(session, `go on ${pid}`)
    const after = model.saw(`go on ${pid}`).at(-1)!
    expect(after.n).toBeGreaterThanOrEqual(prompt.n)
    const again = await life.isRight(pid, { name, epoch, sessionId: second })
    expect(times(again.text, `You are "${name}"`)).toBe(1)
    expect(times(again.text, 'session is being continued')).toBe(1)

    await submit(session, '/branch')
    await eventually('a branch', () => life.registry(pid).sessionId !== second)
    const third = life.registry(pid).sessionId
    await life.isRight(pid, { name, epoch, sessionId: third })

    await submit(session, `/resume ${first}`)
    await eventually('the first conversation', () => life.registry(pid).sessionId === first)
    const back = await life.isRight(pid, { name, epoch, sessionId: first })
    expect(times(back.text, `hello ${pid}`)).toBe(1)
  })

  test.each(['--resume', '--continue'])('%s has its name and its mail again, and is told', async (flag) => {
    const { mesh } = suite
    const { pid, name, epoch, sessionId } = await talk()
    await life.end({ pid })
    const word = `away-${pid}`
    const { id } = await mesh.send(name, word)
    const back = await start(flag, ...(flag === '--resume' ? [sessionId] : []))
    const request = await life.readBy(word)
    expect(times(request.text, `hello ${pid}`)).toBe(1)
    expect(startTexts(request)).toContain('Unread messages: 1. They waited for your return.')
    await mesh.traced(id, 'surfaced')
    await life.isRight(back.pid, { name, epoch: epoch + 1, sessionId })
  })

  test('a fork has a name of its own, while its parent lives and when it has ended', async () => {
    const { mesh } = suite
    const parent = await talk()
    const { sessionId, name } = parent
    const forks = []
    for (const what of ['lives', 'ended']) {
      if (what === 'ended') {
        await life.end(parent)
        await mesh.send(name, `for the parent ${parent.pid}`)
      }
      const fork = await start('--resume', sessionId, '--fork-session')
      forks.push(fork.name)
      expect(fork.name).not.toBe(name)
      const request = await life.isRight(fork.pid, { name: fork.name, epoch: life.record(fork.pid).epoch })
      expect(times(request.text, `hello ${parent.pid}`)).toBe(1)
      expect(startTexts(request)).toContain(`The name "${name}" is held by another session.`)
      expect(times(request.text, 'for the parent')).toBe(0)
      expect(life.registry(fork.pid).sessionId).not.toBe(sessionId)
    }
    expect(new Set(forks).size).toBe(2)
    const back = await start('--resume', sessionId)
    const { sessionId: reader } = await life.readBy(`for the parent ${parent.pid}`)
    expect([back.name, reader]).toEqual([name, sessionId])
  })

  test('of two processes on it each has its own name and mail, also when the first has ended', async () => {
    const { mesh } = suite
    const first = await talk()
    const { sessionId, name } = first
    const second = await start('--resume', sessionId)
    expect(second.name).not.toBe(name)
    const { epoch } = life.record(second.pid)
    const request = await life.isRight(second.pid, { name: second.name, epoch, sessionId })
    expect(startTexts(request)).toContain(`This conversation is open in another process too, as "${name}".`)
    await life.isRight(first.pid, { name, epoch: first.epoch, sessionId })
    await life.end(first)
    await mesh.send(name, `for the first ${first.pid}`)
    const later = await life.isRight(second.pid, { name: second.name, epoch, sessionId })
    expect(times(later.text, 'for the first')).toBe(0)
  })

  test('/resume of a named conversation takes its name; the name before waits for its own conversation', async () => {
    const { mesh } = suite
    const there = await talk()
    await life.end(there)
    // A new session of the worktree would take its name over: this one asks for another.
    const here = await life.start({ env: { MESH_NAME: `here-${there.pid}` } })
    living.push(here)
    const { sessionId } = await life.say(here, `hello here ${here.pid}`)
    await life.isWritten(here.pid, sessionId)
    const word = `waited ${there.pid}`
    await mesh.send(there.name, word)
    await submit(here, `/resume ${there.sessionId}`)
    expect(startTexts(await life.readBy(word))).toContain(`You are "${there.name}" on mesh`)
    await life.isRight(here.pid, { name: there.name, epoch: there.epoch + 1, sessionId: there.sessionId })
    expect((await mesh.ps()).find(({ name }) => name === here.name)).toMatchObject({ status: 'gone', pid: here.pid })
    await mesh.send(here.name, `kept ${here.pid}`)
    await submit(here, `/resume ${sessionId}`)
    expect((await life.readBy(`kept ${here.pid}`)).sessionId).toBe(sessionId)
    await life.isRight(here.pid, { name: here.name, epoch: 2, sessionId })
  })

  test('whose name another session took over is told who has it when it returns', async () => {
    const first = await talk()
    await life.end(first)
    const next = await start()
    expect(next.name).toBe(first.name)
    const back = await start('--resume', first.sessionId)
    const { epoch } = life.record(back.pid)
    const request = await life.isRight(back.pid, { name: back.name, epoch, sessionId: first.sessionId })
    expect(startTexts(request)).toContain(
      `Your name before, "${first.name}", and mail sent to it are another session's now.`,
    )
    const other = await life.isRight(next.pid, { name: next.name, epoch: first.epoch + 1 })
    expect(startTexts(other)).toContain(`The name was that of session ${first.sessionId}, which has ended.`)
  })
})

testNothingLeft(suite)
