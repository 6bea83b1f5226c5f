import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import {
  bootId,
  hostName,
  identifyProcess,
  isAbsent,
  isDescendant,
  processState,
} from '../../../src/host/process/process.ts'
import { processSpace } from '../../../src/host/process/space.ts'
import { temporaryDir } from '../../support/engine.ts'

const children: ChildProcess[] = []

function startChild(command = 'sleep', args = ['600']): ChildProcess & { pid: number } {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(child)
  return child as ChildProcess & { pid: number }
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

test('identifyProcess - this process, the same each time', () => {
  const me = identifyProcess(process.pid)
  const start = expect.stringMatching(/./)
  expect(me).toEqual({ host: hostName(), boot: bootId(), pid: process.pid, start, space: processSpace() })
  expect(bootId()).toMatch(/^[0-9a-f-]{36}$/i)
  expect(identifyProcess(process.pid)).toEqual(me)
})

test('processState - of another process space nothing is known, whatever has that pid here', () => {
  const me = { ...identifyProcess(process.pid)!, space: 'pid:[1]' }
  expect(processState(me)).toBe('unknown')
  expect(processState({ ...me, start: '1' })).toBe('unknown')
  expect(isAbsent({ ...me, start: '1' })).toBe(false)
  expect(processState({ ...me, boot: 'earlier' })).toBe('dead')
})

test('processState - what an earlier release wrote down has no space, and is judged by its pid', () => {
  const { space: _, ...me } = identifyProcess(process.pid)!
  expect(processState(me)).toBe('alive')
  expect(processState({ ...me, start: '1' })).toBe('dead')
})

test('identifyProcess - null for what is no process', () => {
  expect(identifyProcess(0)).toBe(null)
  expect(identifyProcess(-1)).toBe(null)
  expect(identifyProcess(2 ** 30)).toBe(null)
})

test('identifyProcess - a command with spaces and parentheses in its name', () => {
  const temporary = temporaryDir()
  const command = join(temporary.path, ') Z (')
  symlinkSync('/bin/sleep', command)
  const child = startChild(command)
  expect(processState(identifyProcess(child.pid)!)).toBe('alive')
  temporary.remove()
})

test('processState - alive, paused while stopped, alive again, dead after the end', async () => {
  const child = startChild()
  const identity = identifyProcess(child.pid)!
  expect(processState(identity)).toBe('alive')
  child.kill('SIGSTOP')
  await expect.poll(() => processState(identity)).toBe('paused')
  child.kill('SIGCONT')
  await expect.poll(() => processState(identity)).toBe('alive')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(processState(identity)).toBe('dead')
})

test('processState - a process that ended and was not reaped is dead', async () => {
  // sh starts a child, tells its pid, and becomes sleep, which never reaps.
  const parent = startChild('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 600'])
  const [line] = await once(parent.stdout!, 'data')
  const pid = Number(String(line))
  const seen = { host: hostName(), boot: bootId(), pid, start: '0' }
  await expect.poll(() => identifyProcess(pid)).toBe(null)
  expect(() => process.kill(pid, 0)).not.toThrow()
  expect(processState(seen)).toBe('dead')
})

test('processState - a reused pid and an earlier boot are dead, another host is unknown', () => {
  const me = identifyProcess(process.pid)!
  expect(processState({ ...me, start: `${me.start}0` })).toBe('dead')
  expect(processState({ ...me, boot: 'another' })).toBe('dead')
  expect(processState({ ...me, host: `${me.host}x` })).toBe('unknown')
})

test('isDescendant - children and grandchildren, not strangers', async () => {
  const child = startChild('sh', ['-c', 'sleep 600 & echo $!; wait'])
  const [line] = await once(child.stdout!, 'data')
  const grandchild = Number(String(line))
  expect(isDescendant(child.pid, process.pid)).toBe(true)
  expect(isDescendant(grandchild, process.pid)).toBe(true)
  expect(isDescendant(process.pid, child.pid)).toBe(false)
  expect(isDescendant(process.pid, process.pid)).toBe(false)
  process.kill(grandchild, 'SIGKILL')
})
