/** The embedded server's life as others see it: start, heal, stop, each under the engine's lock. */
import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir, writeAtomic } from '../host/files.ts'
import { isHeld } from '../host/hold.ts'
import type { Env, Home } from '../host/home.ts'
import { type Lock, lock } from '../host/lock.ts'
import { processState } from '../host/process/process.ts'
import { checkVersion, type EngineBinary, findEngine, searchEngine } from './binary.ts'
import { installEngine, type Say } from './fetch.ts'
import { serverName } from './nkey.ts'
import { untilServing } from './port.ts'
import {
  dataDir,
  type EngineRecord,
  isRunning,
  isStopped,
  isStoppedSince,
  readRecord,
  recordPath,
  stopMark,
  storeLock,
  strayRecord,
  writeRecord,
} from './record.ts'
import { endProcess, launch } from './server.ts'
import { elsewhere, heldElsewhere, standingOf } from './standing.ts'

const LOCK_MS = 60_000
const GUARD_POLL_MS = 250
/** The sessions of another process space start their engine anew within two seconds. */
const ELSEWHERE_MS = 4000
/** An engine that has its store open and is to be reached from here answers within this long. */
const UNREACHABLE_MS = 500

export interface EngineInfo {
  running: boolean
  url: string | null
  pid: number | null
  version: string | null
  dataDir: string
}

/** Reads the engine's record and whether that process lives. Neither connects nor waits; no process on Linux. */
export function engineStatus(home: Home): EngineInfo {
  const record = readRecord(home)
  return record && isRunning(record) ? infoOf(home, record) : stoppedInfo(home)
}

/**
 * Returns the engine as it is for this process, which may be in another process space than the engine: its port is asked
 * then. Throws `mesh_down` where another space holds the store and does not answer here.
 */
export async function askEngine(home: Home): Promise<EngineInfo> {
  const record = readRecord(home)
  const standing = record ? await standingOf(home, record) : 'over'
  if (!record || standing === 'over') return stoppedInfo(home)
  if (standing === 'held' || standing === 'unsure') throw elsewhere(home, record, standing)
  return infoOf(home, record)
}

/**
 * Starts the engine unless it runs, and waits until it serves; clears the mark of a `stopEngine` from before `began`
 * (milliseconds), which is when the caller began. The binary is found or fetched. Ten callers start one. Throws
 * `mesh_down`, `store_full`, `denied`, `timeout`.
 */
export async function startEngine(home: Home, env: Env, say: Say, began = Date.now() + 1): Promise<EngineInfo> {
  const there = await engineElsewhere(home)
  if (there) return infoOf(home, there)
  const running = await underLock(home, () => unstop(home, began))
  if (running) return infoOf(home, running)
  const binary = await chooseBinary(home, env, say)
  return underLock(home, async () => {
    return infoOf(home, (await unstop(home, began)) ?? (await launch(home, binary, env, true)).record)
  })
}

/**
 * The engine of another process space, which is spoken to and left alone; null if it is ours to start or to find. One that
 * has just ended is started anew by its sessions. Throws `mesh_down` if it does not answer here.
 */
export async function engineElsewhere(home: Home): Promise<EngineRecord | null> {
  for (const since = performance.now(); ; await sleep(GUARD_POLL_MS)) {
    const record = readRecord(home)
    const standing = record ? await standingOf(home, record) : 'over'
    if (record && standing === 'serves') return record
    if (!record || standing !== 'held') return null
    const limit = isHeld(storeLock(home)) ? UNREACHABLE_MS : ELSEWHERE_MS
    if (performance.now() - since > limit) throw elsewhere(home, record, standing)
  }
}

/** Throws `mesh_down` when the mesh was stopped since: who began before that does not undo it. */
async function unstop(home: Home, began: number): Promise<EngineRecord | null> {
  if (isStoppedSince(home, began))
    throw new MeshError('mesh_down', 'mesh is down: it was stopped meanwhile', { hint: 'start it with: mesh up' })
  const running = await runningEngine(home)
  rmSync(stopMark(home), { force: true })
  return running
}

/**
 * Starts a dead engine again, for sidecars. Null if it was stopped on purpose or no binary is at hand; nothing is ever
 * fetched. Throws as `startEngine`.
 */
export async function healEngine(home: Home, env: Env): Promise<EngineInfo | null> {
  if (isStopped(home)) return null
  const record = readRecord(home)
  const standing = record ? await standingOf(home, record) : 'over'
  if (record && standing !== 'over') {
    if (standing === 'held' || standing === 'unsure') throw elsewhere(home, record, standing)
    return infoOf(home, record)
  }
  const binary = findEngine(env, home)
  if (!binary) return null
  checkUsable(binary)
  return underLock(home, async () => {
    if (isStopped(home)) return null
    const running = await runningEngine(home)
    return infoOf(home, running ?? (await launch(home, binary, env, true)).record)
  })
}

/** Restarts the engine if it is still the process `pid`: of many callers one does it. */
export async function restartEngine(home: Home, env: Env, pid: number): Promise<void> {
  const binary = findEngine(env, home)
  if (!binary) return
  await underLock(home, async () => {
    const record = readRecord(home)
    if (record?.pid !== pid || !isRunning(record)) return
    await endProcess(record)
    await launch(home, binary, env, true)
  })
}

/** Throws `mesh_down` if the engine is another process space's: it is stopped there. */
export async function checkStoppable(home: Home): Promise<void> {
  const record = readRecord(home)
  const standing = record ? await standingOf(home, record) : 'over'
  if (record && standing === 'held') throw elsewhere(home, record, standing)
  if (record && standing === 'serves')
    throw heldElsewhere(`its engine, process ${record.pid}, is not stopped from here`)
}

/**
 * Stops the engine and leaves the mark that healing obeys. False if none ran. Killed if it does not end in 10 s. Throws as
 * `checkStoppable`.
 */
export async function stopEngine(home: Home): Promise<boolean> {
  await checkStoppable(home)
  prepare(home)
  writeAtomic(stopMark(home), '')
  return underLock(home, async () => {
    // A start that was under way may have taken the first one for an earlier stop's.
    writeAtomic(stopMark(home), '')
    const record = readRecord(home) ?? strayRecord(home)
    if (record && processState(record) === 'unknown') {
      // The way out after the machine got a new name: what is forgotten here is never killed.
      rmSync(recordPath(home), { force: true })
      return false
    }
    if (!record || !isRunning(record)) return false
    await endProcess(record)
    return true
  })
}

/**
 * Runs the engine as a child in the foreground, for a service manager, and returns its exit code (128 + n after signal
 * n). While an engine that another process started runs, it waits for that one's end. SIGTERM, SIGINT and SIGHUP end it.
 */
export async function runEngineForeground(home: Home, env: Env, say: Say): Promise<number> {
  prepare(home)
  await engineElsewhere(home)
  rmSync(stopMark(home), { force: true })
  const binary = await chooseBinary(home, env, say)
  const stop = new AbortController()
  const end = () => stop.abort()
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, end)
  try {
    return await keepRunning(home, binary, env, say, stop.signal)
  } finally {
    for (const signal of signals) process.off(signal, end)
  }
}

async function keepRunning(home: Home, binary: EngineBinary, env: Env, say: Say, stop: AbortSignal): Promise<number> {
  for (let said = false; !stop.aborted; said = true) {
    const started = await underLock(home, async () =>
      (await runningEngine(home)) ? null : launch(home, binary, env, false),
    )
    if (started) {
      say(`engine ready on ${started.record.url}, pid ${started.record.pid}`)
      const code = await supervise(started.child, stop)
      // A calm end that neither we nor `mesh down` asked for is a restart by another process.
      if (stop.aborted || code !== 0 || isStopped(home)) return code
    } else if (!said) say('another process started the engine; this one takes over when it ends')
    while (engineStatus(home).running && !stop.aborted) await sleep(GUARD_POLL_MS)
    if (isStopped(home)) return 0
  }
  return 0
}

function supervise(child: ChildProcess, stop: AbortSignal): Promise<number> {
  const end = () => child.kill('SIGTERM')
  stop.addEventListener('abort', end, { once: true })
  if (stop.aborted) end()
  return exitCodeOf(child).finally(() => stop.removeEventListener('abort', end))
}

function exitCodeOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    const settle = () => {
      if (child.signalCode !== null) resolve(128 + constants.signals[child.signalCode])
      else if (child.exitCode !== null) resolve(child.exitCode)
    }
    child.once('exit', settle)
    settle()
  })
}

async function chooseBinary(home: Home, env: Env, say: Say): Promise<EngineBinary> {
  const { engine, tooOld } = searchEngine(env, home)
  for (const old of tooOld) say(`passed over ${old.path}: ${checkVersion(old.version).warning}`)
  const binary = engine ?? (await installEngine(home, env, say))
  const warning = checkUsable(binary)
  if (warning) say(`warning: ${warning}`)
  return binary
}

/** Returns the warning, if any. Throws `mesh_down` for a version that mesh cannot work with. */
function checkUsable(binary: EngineBinary): string | null {
  const { ok, warning } = checkVersion(binary.version)
  if (ok) return warning
  throw new MeshError('mesh_down', `${binary.path}: ${warning}`, {
    hint: 'name a newer one, or none to have one fetched',
  })
}

async function underLock<T>(home: Home, work: () => Promise<T>): Promise<T> {
  prepare(home)
  const taken: Lock = await lock(join(home.engine, 'lock'), LOCK_MS)
  try {
    return await work()
  } finally {
    taken.release()
  }
}

function prepare(home: Home): void {
  for (const dir of [home.root, home.engine, dataDir(home)]) ensurePrivateDir(dir)
}

/** The live engine, once it serves; null if there is none. Under the lock. Throws `mesh_down` if it does not answer. */
async function runningEngine(home: Home): Promise<EngineRecord | null> {
  const known = readRecord(home)
  const standing = known ? await standingOf(home, known) : 'over'
  if (known && (standing === 'held' || standing === 'unsure')) throw elsewhere(home, known, standing)
  if (known && standing === 'serves') return known
  const record = known && isRunning(known) ? known : strayRecord(home)
  if (!record) return null
  if (record !== known) writeRecord(home, record)
  const isServing = await untilServing(record.port, serverName(home), () => isRunning(record))
  if (isServing || !isRunning(record)) return isServing ? record : null
  throw new MeshError('mesh_down', `the engine (pid ${record.pid}) does not answer on ${record.url}`, {
    hint: 'if it hangs: mesh down, then mesh up',
  })
}

function infoOf(home: Home, record: EngineRecord): EngineInfo {
  return { running: true, url: record.url, pid: record.pid, version: record.version, dataDir: dataDir(home) }
}

function stoppedInfo(home: Home): EngineInfo {
  return { running: false, url: null, pid: null, version: null, dataDir: dataDir(home) }
}
