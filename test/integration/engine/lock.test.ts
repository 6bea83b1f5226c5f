import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lock, lockOwner } from '../../../src/host/lock.ts'
import { bundleProgram, scrubbedEnv, temporaryDir } from '../../support/engine.ts'

const PROCESSES = 20
const ROUNDS = 200
const KILLS = 60

let temporary: { path: string; remove: () => void }
let path: string
const children = new Set<ChildProcess>()

/**
 * Takes the lock again and again, and writes `+pid` and `-pid` to the log while it has it. Every other time it leaves
 * the lock as a dead process would, for the others to break.
 */
const racer = `
import { randomBytes } from 'node:crypto'
import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { lock } from '../../src/host/lock.ts'
import { identifyProcess } from '../../src/host/process/process.ts'
const [path, log, rounds] = process.argv.slice(2)
for (let i = 0; i < Number(rounds); i++) {
  const held = await lock(path, 120_000)
  appendFileSync(log, '+' + process.pid + '\\n')
  if (Math.random() < 0.5) await new Promise(setImmediate)
  appendFileSync(log, '-' + process.pid + '\\n')
  if (Math.random() < 0.5) held.release()
  else {
    const token = randomBytes(8).toString('hex')
    writeFileSync(path + process.pid, JSON.stringify({ ...identifyProcess(process.pid), start: '1', token }))
    renameSync(path + process.pid, path)
  }
  if (Math.random() < 0.5) await new Promise((resolve) => setTimeout(resolve, Math.random() * 8))
}
`

function startRacer(program: string, rounds: number): ChildProcess {
  const args = [program, path, join(temporary.path, 'log'), String(rounds)]
  const child = spawn(process.execPath, args, { env: scrubbedEnv(), stdio: ['ignore', 'ignore', 'inherit'] })
  children.add(child)
  return child
}

/** Everybody enters after the one before has left, unless that one was killed; nobody leaves a second time. */
function checkLog(killed: Set<number>): number {
  let inside: number | null = null
  let entered = 0
  for (const line of readFileSync(join(temporary.path, 'log'), 'utf8').trim().split('\n')) {
    const pid = Number(line.slice(1))
    if (line.startsWith('+')) {
      if (inside !== null && !killed.has(inside)) throw new Error(`${pid} entered while ${inside} was inside`)
      inside = pid
      entered++
    } else {
      if (inside !== pid) throw new Error(`${pid} left while ${inside} was inside`)
      inside = null
    }
  }
  return entered
}

beforeEach(() => {
  temporary = temporaryDir()
  path = join(temporary.path, 'lock')
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  temporary.remove()
})

test(`lock - ${PROCESSES} processes, ${ROUNDS} rounds each: never two inside`, { timeout: 300_000 }, async () => {
  const program = await bundleProgram(racer, join(temporary.path, 'racer.mjs'))
  appendFileSync(join(temporary.path, 'log'), '')
  const racers = Array.from({ length: PROCESSES }, () => startRacer(program, ROUNDS))
  const codes = await Promise.all(racers.map(async (child) => (await once(child, 'exit'))[0]))
  expect(codes).toEqual(Array(PROCESSES).fill(0))
  expect(checkLog(new Set())).toBe(PROCESSES * ROUNDS)
  ;(await lock(path, 60_000)).release()
  expect(readdirSync(temporary.path).sort()).toEqual(['log', 'racer.mjs'])
})

test(`lock - ${KILLS} holders killed: never two inside, and never stuck`, { timeout: 300_000 }, async () => {
  const program = await bundleProgram(racer, join(temporary.path, 'racer.mjs'))
  const log = join(temporary.path, 'log')
  appendFileSync(log, '')
  for (let i = 0; i < PROCESSES; i++) startRacer(program, 1_000_000)
  const killed = new Set<number>()
  while (killed.size < KILLS) {
    const before = readFileSync(log).length
    await expect.poll(() => readFileSync(log).length, { timeout: 60_000, interval: 1 }).toBeGreaterThan(before + 50)
    const holder = lockOwner(path)?.pid
    const victim = [...children].find((child) => child.pid === holder) ?? [...children][0]!
    victim.kill('SIGKILL')
    killed.add(victim.pid!)
    children.delete(victim)
    startRacer(program, 1_000_000)
  }
  const ends = [...children].map((child) => once(child, 'exit'))
  for (const child of children) {
    killed.add(child.pid!)
    child.kill('SIGKILL')
  }
  await Promise.all(ends)
  expect(checkLog(killed)).toBeGreaterThan(KILLS)
  // Whoever breaks the next dead lock sweeps what all of them left.
  writeFileSync(path, '')
  ;(await lock(path, 60_000)).release()
  // A draft of one that was killed while it wrote may stay: it is nobody's lock.
  expect(readdirSync(temporary.path).filter((name) => name.includes('.break-') && !name.includes('.tmp-'))).toEqual([])
})
