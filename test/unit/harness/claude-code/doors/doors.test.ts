import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { HookDoor } from '../../../../../src/harness/claude-code/doors/hook.ts'
import { InboxDoor } from '../../../../../src/harness/claude-code/doors/inbox.ts'
import { WatchDoor } from '../../../../../src/harness/claude-code/doors/watch.ts'

let dir: string
const onRead = vi.fn()
let server: Server | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-door-'))
})
afterEach(() => {
  onRead.mockReset()
  vi.useRealTimers()
  server?.close()
  server = undefined
  rmSync(dir, { recursive: true })
})

test('hook door - the mail file holds the text as one JSON string', async () => {
  const text = 'a "quoted"\nline \u2028 ✓'
  await new HookDoor(dir).offer(text)
  expect(JSON.parse(readFileSync(join(dir, 'mail'), 'utf8'))).toBe(text)
  expect(readdirSync(dir)).toEqual(['mail'])
})

test('hook door - an offer can be taken back until a hook took it', async () => {
  const door = new HookDoor(dir)
  await door.offer('one')
  expect(await door.withdraw()).toBe(true)
  expect(readdirSync(dir)).toEqual([])
  await door.offer('two')
  renameSync(join(dir, 'mail'), join(dir, 'taken-1'))
  expect(await door.withdraw()).toBe(false)
})

test('hook door - shuts before the client ends a turn for its many continuations', async () => {
  const door = new HookDoor(dir)
  for (let stop = 0; stop < 6; stop++) {
    expect(door.available()).toBe(true)
    door.onShown(true)
  }
  expect(door.available()).toBe(false)
  door.onTurn()
  expect(door.available()).toBe(true)
  for (let stop = 0; stop < 5; stop++) door.onShown(true)
  door.onShown(false)
  for (let stop = 0; stop < 5; stop++) door.onShown(true)
  expect(door.available()).toBe(true)
})

test('hook door - knows whether an offer still lies there', async () => {
  const door = new HookDoor(dir)
  expect(door.lies('mesh-1')).toBe(false)
  await door.offer('<mesh-1>')
  expect([door.lies('mesh-1'), door.lies('mesh-2')]).toEqual([true, false])
})

test('hook door - a text that the client would cut is refused', async () => {
  await new HookDoor(dir).offer('x'.repeat(10_000))
  await expect(new HookDoor(dir).offer('x'.repeat(10_001))).rejects.toMatchObject({ code: 'too_large' })
})

test('hook door - without its directory it is shut', async () => {
  await expect(new HookDoor(join(dir, 'gone')).offer('x')).rejects.toThrow()
  expect(existsSync(join(dir, 'gone'))).toBe(false)
})

async function inbox(): Promise<{ path: string; frames: unknown[] }> {
  const path = join(dir, 'inbox.sock')
  const frames: unknown[] = []
  server = createServer((socket) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += String(chunk)
    })
    socket.on('end', () => {
      frames.push(
        ...text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown),
      )
    })
  })
  await new Promise<void>((resolve) => server!.listen(path, resolve))
  return { path, frames }
}

test('inbox door - posts the auth line and one user frame', async () => {
  const { path, frames } = await inbox()
  const door = new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: path, CLAUDE_CODE_MESSAGING_TOKEN: 'secret' }, onRead)
  expect(door.available()).toBe(true)
  await door.offer('two\nlines', 'mesh-1')
  await expect.poll(() => frames).toHaveLength(2)
  expect(frames).toEqual([
    { type: 'auth', token: 'secret' },
    { type: 'user', message: { role: 'user', content: 'two\nlines' } },
  ])
  expect(await door.withdraw()).toBe(false)
  await expect.poll(() => onRead.mock.calls).toEqual([['mesh-1']])
})

test('inbox door - a client that does not read its socket is not reported to have read', async () => {
  const path = join(dir, 'stopped.sock')
  let socket: Socket | undefined
  server = createServer({ pauseOnConnect: true }, (one) => {
    socket = one
  })
  await new Promise<void>((resolve) => server!.listen(path, resolve))
  await new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: path }, onRead).offer('x', 'mesh-1')
  await expect.poll(() => socket).toBeTruthy()
  expect(onRead).not.toHaveBeenCalled()
  socket!.resume()
  await expect.poll(() => onRead.mock.calls).toEqual([['mesh-1']])
})

test('inbox door - without a token there is no auth line', async () => {
  const { path, frames } = await inbox()
  await new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: path }, onRead).offer('x', 'mesh-1')
  await expect.poll(() => frames).toHaveLength(1)
})

test('inbox door - not there without the variable or the socket', async () => {
  expect(new InboxDoor({}, onRead).available()).toBe(false)
  expect(new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: join(dir, 'none') }, onRead).available()).toBe(false)
  await expect(new InboxDoor({}, onRead).offer('x', 'mesh-1')).rejects.toMatchObject({ code: 'conflict' })
})

test('inbox door - a socket that nobody serves is shut', async () => {
  const { path } = await inbox()
  const kept = join(dir, 'stale.sock')
  renameSync(path, kept)
  await new Promise((resolve) => server!.close(resolve))
  const door = new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: kept }, onRead)
  await expect(door.offer('x', 'mesh-1')).rejects.toMatchObject({ code: 'conflict' })
})

test('inbox door - stays below the number that the client takes at once', async () => {
  const { path, frames } = await inbox()
  const door = new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: path }, onRead)
  let sent = 0
  while (door.available()) {
    await door.offer(`message ${sent++}`, `mesh-${sent}`)
    expect(sent).toBeLessThan(30)
  }
  await expect.poll(() => frames.length).toBe(sent)
  await expect(door.offer('one more', 'mesh-0')).rejects.toMatchObject({ code: 'conflict' })
})

test('inbox door - a clock that is set back does not shut it', async () => {
  const { path, frames } = await inbox()
  const door = new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: path }, onRead)
  vi.setSystemTime(Date.now() - 3_600_000)
  expect(door.available()).toBe(true)
  await door.offer('x', 'mesh-1')
  await expect.poll(() => frames).toHaveLength(1)
})

test('inbox door - works until several frames in a row leave no evidence, and again after any', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const { path } = await inbox()
  const door = new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: path }, onRead)
  for (const token of ['mesh-1', 'mesh-2']) {
    expect(door.works()).toBe(true)
    await door.offer(token, token)
    vi.advanceTimersByTime(10_000)
  }
  expect(door.works()).toBe(false)
  door.onEvidence('mesh-2')
  expect(door.works()).toBe(true)
})

test('inbox door - a broken socket is tried again after a while', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const { path } = await inbox()
  const door = new InboxDoor({ CLAUDE_CODE_MESSAGING_SOCKET: path }, onRead)
  for (const token of ['mesh-1', 'mesh-2']) await door.offer(token, token)
  vi.advanceTimersByTime(10_000)
  expect(door.works()).toBe(false)
  vi.advanceTimersByTime(3_600_000)
  expect(door.works()).toBe(true)
})

test('inbox door - without a socket it does not work', () => {
  expect(new InboxDoor({}, onRead).works()).toBe(false)
})

test('watch door - the file holds the text as it is, and can be taken back until a hook took it', async () => {
  const door = new WatchDoor(dir, () => true)
  const text = 'a "quoted"\nline ✓'
  await door.offer(text)
  expect(readFileSync(join(dir, 'wake'), 'utf8')).toBe(text)
  expect(await door.withdraw()).toBe(true)
  expect(readdirSync(dir)).toEqual([])
  await door.offer('two')
  renameSync(join(dir, 'wake'), join(dir, 'taken-1'))
  expect(await door.withdraw()).toBe(false)
  await expect(door.offer('x'.repeat(10_001))).rejects.toMatchObject({ code: 'too_large' })
})
