import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { peek, Spool, type Spooled } from '../../../../../src/harness/claude-code/hooks/spool.ts'
import { limits } from '../../../../../src/wire/limits.ts'

let dir: string
let spool: Spool
let events: Spooled[]
let losses: string[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-spool-'))
  events = []
  losses = []
  spool = new Spool(
    dir,
    (event) => events.push(event),
    (what) => losses.push(what),
  )
})
afterEach(() => {
  spool.stop()
  rmSync(dir, { recursive: true, force: true })
})

function drop(id: string, event: object | string, at?: number): void {
  const path = join(dir, `${id}.json`)
  writeFileSync(path, typeof event === 'string' ? event : JSON.stringify(event))
  if (at !== undefined) utimesSync(path, at, at)
}
const event = (name: string, more: object = {}) => ({ hook_event_name: name, session_id: 's', ...more })

test('spool - events come in the order in which they were dropped, and are taken out', () => {
  drop('Stop-9', event('Stop'), 1000.5)
  drop('UserPromptSubmit-8', event('UserPromptSubmit', { prompt: 'hi' }), 1000.25)
  drop('SessionStart-10', event('SessionStart'), 1000)
  spool.drain()
  expect(events.map(({ name }) => name)).toEqual(['SessionStart', 'UserPromptSubmit', 'Stop'])
  expect(events[1]).toMatchObject({ id: 'UserPromptSubmit-8', at: 1_000_250, event: { prompt: 'hi' } })
  expect(readdirSync(dir)).toEqual([])
})

test('spool - later events are noticed', async () => {
  spool.start()
  drop('Stop-1', event('Stop'))
  await expect.poll(() => events.length).toBe(1)
})

test.each([
  ['removed', () => {}],
  ['made anew by a hook', () => mkdirSync(dir)],
])('spool - a folder that was %s under a living session is watched again', async (_, remake) => {
  spool.start()
  rmSync(dir, { recursive: true })
  remake()
  // As its beat does.
  spool.drain()
  drop('Stop-1', event('Stop'))
  await expect.poll(() => events.length).toBe(1)
})

test('spool - of a session that was cleared away nothing is made', () => {
  spool = new Spool(
    join(dir, 'cc-1', 'spool'),
    () => {},
    () => {},
  )
  spool.start()
  expect(readdirSync(dir)).toEqual([])
})

test('spool - an unfinished file waits; an abandoned one is swept', () => {
  writeFileSync(join(dir, 'Stop-1.t'), '{"hook')
  writeFileSync(join(dir, 'Stop-2.t'), '{"hook')
  utimesSync(join(dir, 'Stop-2.t'), 1000, 1000)
  spool.drain()
  expect([events, losses, readdirSync(dir)]).toEqual([[], [], ['Stop-1.t']])
})

test('spool - an event cut at the limit is known by its name', () => {
  drop('UserPromptSubmit-1', 'x'.repeat(limits.hookEventBytes))
  spool.drain()
  expect(events).toMatchObject([{ name: 'UserPromptSubmit', event: null }])
})

test('spool - mail that a hook took is given as it is', () => {
  drop('MailTaken-1', JSON.stringify('words'))
  spool.drain()
  expect(events).toMatchObject([{ name: 'MailTaken', event: null, text: '"words"' }])
})

test('spool - a file that is no event is reported as a loss and removed', () => {
  drop('Stop-1', 'not json')
  drop('Stop-2', { hook_event_name: 'Stop' })
  symlinkSync('/etc/hostname', join(dir, 'Stop-3.json'))
  mkdirSync(join(dir, 'sub.t'))
  writeFileSync(join(dir, 'overflow'), 'Stop')
  spool.drain()
  expect(events).toEqual([])
  expect(losses.toSorted()).toEqual(['Stop-1', 'Stop-2', 'Stop-3', 'overflow'])
})

test('spool - leftovers of an earlier client are swept by age', () => {
  drop('SessionEnd-1', event('SessionEnd'), 1000)
  drop('SessionStart-2', event('SessionStart'))
  spool.sweep(Date.now() - 60_000)
  spool.drain()
  expect(events.map(({ name }) => name)).toEqual(['SessionStart'])
})

test('spool - peeking leaves the event; a missing directory holds none', () => {
  drop('SessionStart-2', event('SessionStart', { source: 'resume' }))
  expect(peek(dir, 'SessionStart')?.event?.source).toBe('resume')
  expect(peek(join(dir, 'none'), 'SessionStart')).toBeNull()
  spool.drain()
  expect(events).toHaveLength(1)
})
