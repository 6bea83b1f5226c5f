/**
 * The embedded server's life: start, heal, stop. Two servers on one store would both run (nats-server takes no lock),
 * so one is started only under our lock, and only through the gate below.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir, readJson, readText, writeAtomic } from '../host/files.ts'
import type { Env, Home } from '../host/home.ts'
import { type Lock, lock } from '../host/lock.ts'
import { commandLine, identifyProcess, processState } from '../host/process.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { checkVersion, type EngineBinary, findEngine, installEngine, type Say, searchEngine } from './binary.ts'
import { renderConfig, storeCap } from './config.ts'
import { engineUser } from './nkey.ts'

const HOST = '127.0.0.1'
/**
 * Ports are chosen below the ephemeral ranges (32768 up on Linux, 49152 up on macOS): a client that dials a dead port
 * inside its range again and again ends up connected to itself, and then holds the port against the server.
 */
const FIRST_PORT = 20_000
const PORTS = 10_000
const PORT_TRIES = 20
const START_TRIES = 3
const LOCK_MS = 60_000
/** A store of 100,000 messages is ready in 0.2 s; a slow disk and a large store may take a hundred times as long. */
const START_MS = 30_000
const STOP_MS = 10_000
const POLL_MS = 4
const STOP_POLL_MS = 10
const GUARD_POLL_MS = 250
const PROBE_MS = 1_000
const INFO_BYTES = 64 * 1024
const RECORD_BYTES = 64 * 1024
const LOG_BYTES = 64 * 1024 * 1024

/**
 * The child waits for a word before it becomes the server. The starter records the child's identity first, then says
 * it; a starter that dies in between closes the pipe, and the child ends without ever having touched the store.
 */
const GATE = 'umask 077; read -r go && exec "$0" "$@" </dev/null'

export interface EngineInfo {
  running: boolean
  url: string | null
  pid: number | null
  version: string | null
  dataDir: string
}

/** `engine.json`: the last server that was started here. */
interface EngineRecord extends ProcessIdentity {
  port: number
  url: string
  version: string
  path: string
}

interface Started {
  record: EngineRecord
  child: ChildProcess
}

/** What is recorded of the engine and whether that process lives. Neither connects nor waits; no process on Linux. */
export function engineStatus(home: Home): EngineInfo {
  const record = readRecord(home)
  return record && isRunning(record) ? infoOf(home, record) : stoppedInfo(home)
}

/**
 * Starts the engine unless it runs, and waits until it serves; clears the mark of `stopEngine`. The binary is found or
 * fetched. Ten callers start one. Throws `mesh_down`, `store_full`, `denied`, `timeout`.
 */
export async function startEngine(home: Home, env: Env, say: Say): Promise<EngineInfo> {
  const running = await underLock(home, () => unstop(home))
  if (running) return infoOf(home, running)
  const binary = await chooseBinary(home, env, say)
  return underLock(home, async () => {
    return infoOf(home, (await unstop(home)) ?? (await launch(home, binary, env, true)).record)
  })
}

function unstop(home: Home): Promise<EngineRecord | null> {
  rmSync(stopMark(home), { force: true })
  return runningEngine(home)
}

/**
 * For sidecars: starts a dead engine again. Null if it was stopped on purpose or no binary is at hand; nothing is ever
 * fetched. Throws as `startEngine`.
 */
export async function healEngine(home: Home, env: Env): Promise<EngineInfo | null> {
  if (isStopped(home)) return null
  const record = readRecord(home)
  if (record && isRunning(record)) return infoOf(home, record)
  const binary = findEngine(env, home)
  if (!binary) return null
  checkUsable(binary)
  return underLock(home, async () => {
    if (existsSync(stopMark(home))) return null
    const running = await runningEngine(home)
    return infoOf(home, running ?? (await launch(home, binary, env, true)).record)
  })
}

/** True after `mesh down`, until `mesh up` or a new session. */
export function isStopped(home: Home): boolean {
  return existsSync(stopMark(home))
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

/** Stops the engine and leaves the mark that healing obeys. False if none ran. Killed if it does not end in 10 s. */
export async function stopEngine(home: Home): Promise<boolean> {
  prepare(home)
  writeAtomic(stopMark(home), '')
  return underLock(home, async () => {
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
 * n). While an engine that somebody else started runs, it waits for that one's end. SIGTERM, SIGINT and SIGHUP end it.
 */
export async function runEngineForeground(home: Home, env: Env, say: Say): Promise<number> {
  prepare(home)
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
  for (let told = false; !stop.aborted; told = true) {
    const started = await underLock(home, async () =>
      (await runningEngine(home)) ? null : launch(home, binary, env, false),
    )
    if (started) {
      say(`engine ready on ${started.record.url}, pid ${started.record.pid}`)
      const code = await supervise(started.child, stop)
      // A calm end that neither we nor `mesh down` asked for is a restart by somebody else.
      if (stop.aborted || code !== 0 || existsSync(stopMark(home))) return code
    } else if (!told) say('another process started the engine; this one takes over when it ends')
    while (engineStatus(home).running && !stop.aborted) await sleep(GUARD_POLL_MS)
    if (existsSync(stopMark(home))) return 0
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
  const held: Lock = await lock(join(home.engine, 'lock'), LOCK_MS)
  try {
    return await work()
  } finally {
    held.release()
  }
}

function prepare(home: Home): void {
  for (const dir of [home.root, home.engine, dataDir(home)]) ensurePrivateDir(dir)
}

/** The live engine, once it serves; null if there is none. Under the lock. Throws `mesh_down` if it does not answer. */
async function runningEngine(home: Home): Promise<EngineRecord | null> {
  const known = readRecord(home)
  if (known && processState(known) === 'unknown') throw elsewhere(home, known)
  const record = known && isRunning(known) ? known : strayRecord(home)
  if (!record) return null
  if (record !== known) writeRecord(home, record)
  const serves = await untilServing(record.port, serverName(home), () => isRunning(record))
  if (serves || !isRunning(record)) return serves ? record : null
  throw new MeshError('mesh_down', `the engine (pid ${record.pid}) does not answer on ${record.url}`, {
    hint: 'if it hangs: mesh down, then mesh up',
  })
}

function elsewhere(home: Home, record: EngineRecord): MeshError {
  const what = `process ${record.pid} of host ${record.host} was the last to open the store ${dataDir(home)}`
  return new MeshError('mesh_down', `${what}, and two engines on one store would damage it`, {
    hint: `if that host is gone or was renamed: mesh down, then mesh up`,
  })
}

/**
 * A server that runs although `engine.json` is lost or names another: the server writes its own pid file. Its command
 * line shows that it is ours.
 */
function strayRecord(home: Home): EngineRecord | null {
  const pid = Number(readText(pidPath(home), RECORD_BYTES) ?? '')
  if (!Number.isSafeInteger(pid) || pid < 1 || pid === readRecord(home)?.pid) return null
  const identity = identifyProcess(pid)
  if (!identity || !commandLine(pid).endsWith(` -c ${configPath(home)}`)) return null
  const port = Number(/^listen: "127\.0\.0\.1:(\d+)"$/m.exec(readText(configPath(home), RECORD_BYTES) ?? '')?.[1])
  return { ...identity, port, url: urlOf(port), version: 'unknown', path: 'unknown' }
}

/** Starts a server and waits until it serves. Under the lock, and only when no server runs. */
async function launch(home: Home, binary: EngineBinary, env: Env, detached: boolean): Promise<Started> {
  let kept = readRecord(home)?.port
  for (let i = 0; i < START_TRIES; i++) {
    const port = await choosePort(kept)
    const started = spawnServer(home, binary, env, detached, port)
    const alive = () => started.child.exitCode === null && started.child.signalCode === null
    if (await untilServing(port, serverName(home), alive)) return started
    if (alive()) {
      await endProcess(started.record)
      throw new MeshError('mesh_down', `the engine was not ready within ${START_MS / 1000} s`, { hint: seeLog(home) })
    }
    if (await isFree(port))
      throw new MeshError('mesh_down', `the engine ended: ${lastWords(home)}`, { hint: seeLog(home) })
    kept = undefined
  }
  throw new MeshError('mesh_down', 'no free port for the engine was found', { hint: 'try again: mesh up' })
}

function spawnServer(home: Home, binary: EngineBinary, env: Env, detached: boolean, port: number): Started {
  writeConfig(home, port)
  const log = openSync(logPath(home), 'a', 0o600)
  const stderr = detached ? log : 'inherit'
  const child = spawn('/bin/sh', ['-c', GATE, binary.path, '-c', configPath(home)], {
    cwd: home.engine,
    detached,
    env: { PATH: env.PATH, HOME: env.HOME, TMPDIR: env.TMPDIR },
    stdio: ['pipe', log, stderr],
  })
  closeSync(log)
  child.on('error', () => {})
  child.stdin?.on('error', () => {})
  try {
    const record = recordOf(child, binary, port)
    writeRecord(home, record)
    child.stdin?.end('go\n')
    if (detached) child.unref()
    return { record, child }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}

function recordOf(child: ChildProcess, binary: EngineBinary, port: number): EngineRecord {
  const identity = child.pid === undefined ? null : identifyProcess(child.pid)
  if (!identity) throw new MeshError('mesh_down', 'the engine could not be started', { hint: 'is /bin/sh there?' })
  return { ...identity, port, url: urlOf(port), version: binary.version, path: binary.path }
}

function writeConfig(home: Home, port: number): void {
  const data = dataDir(home)
  const { bavail, bsize } = statfsSync(data)
  const text = renderConfig({
    serverName: serverName(home),
    port,
    userKey: engineUser(home).publicKey,
    dataDir: data,
    logFile: logPath(home),
    pidFile: pidPath(home),
    maxFileBytes: storeCap(storedBytes(data), bavail * bsize, data),
  })
  writeAtomic(configPath(home), text)
}

/** Bytes of the messages in the store: `jetstream/<account>/streams/<stream>/msgs/*`. */
function storedBytes(data: string): number {
  const accounts = list(join(data, 'jetstream'))
  const streams = accounts.flatMap((account) => list(join(account, 'streams')))
  const files = streams.flatMap((stream) => list(join(stream, 'msgs')))
  return files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0)
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name))
  } catch {
    return []
  }
}

/** The kept port, so that clients find the engine again; another if there is none or somebody else has it. */
async function choosePort(kept: number | undefined): Promise<number> {
  if (kept !== undefined && (await isFree(kept))) return kept
  for (let i = 0; i < PORT_TRIES; i++) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    if (await isFree(port)) return port
  }
  throw new MeshError('mesh_down', `${PORT_TRIES} ports tried, none was free`, { hint: 'try again: mesh up' })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: HOST, port }, () => server.close(() => resolve(true)))
  })
}

async function untilServing(port: number, name: string, alive: () => boolean): Promise<boolean> {
  const deadline = performance.now() + START_MS
  while (alive() && performance.now() < deadline) {
    if (await serves(port, name)) return alive()
    await sleep(POLL_MS)
  }
  return false
}

/** True if the server of that name answers on the port. It greets with `INFO {...}`; an nkey server sends a nonce. */
function serves(port: number, name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port, timeout: PROBE_MS })
    const finish = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\n') || text.length > INFO_BYTES) finish(isGreeting(text, name))
    })
    for (const event of ['error', 'timeout', 'end', 'close']) socket.once(event, () => finish(false))
  })
}

function isGreeting(text: string, name: string): boolean {
  try {
    const info = JSON.parse(/^INFO (\{.*\})/.exec(text)?.[1] ?? '') as { server_name?: unknown; nonce?: unknown }
    return info.server_name === name && typeof info.nonce === 'string'
  } catch {
    return false
  }
}

async function endProcess(record: EngineRecord): Promise<void> {
  signal(record, 'SIGTERM')
  signal(record, 'SIGCONT')
  if (await untilEnded(record)) return
  signal(record, 'SIGKILL')
  if (await untilEnded(record)) return
  throw new MeshError('timeout', `the engine (pid ${record.pid}) does not end`, {
    hint: 'end that process, then mesh up',
  })
}

/** By identity: the pid alone might be somebody else's by now. */
function signal(record: EngineRecord, name: NodeJS.Signals): void {
  if (!isRunning(record)) return
  try {
    process.kill(record.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function untilEnded(record: EngineRecord): Promise<boolean> {
  const deadline = performance.now() + STOP_MS
  while (isRunning(record) && performance.now() < deadline) await sleep(STOP_POLL_MS)
  return !isRunning(record)
}

function isRunning(record: EngineRecord): boolean {
  const state = processState(record)
  return state === 'alive' || state === 'paused'
}

function readRecord(home: Home): EngineRecord | null {
  const value = (readJson(recordPath(home), RECORD_BYTES) ?? {}) as { [Key in keyof EngineRecord]?: unknown }
  const { host, boot, pid, start, port, version, path } = value
  if (!isPort(port) || !Number.isSafeInteger(pid)) return null
  const texts = [host, boot, start, version, path]
  if (texts.some((text) => typeof text !== 'string')) return null
  return { ...(value as EngineRecord), url: urlOf(port) }
}

function isPort(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 65_536
}

function writeRecord(home: Home, record: EngineRecord): void {
  writeAtomic(recordPath(home), `${JSON.stringify(record)}\n`)
}

/** The last line of the log, for an error: the server's reason, or the shell's. */
function lastWords(home: Home): string {
  const lines = (readText(logPath(home), LOG_BYTES) ?? '').trimEnd().split('\n')
  return lines.at(-1)?.slice(0, 300) || 'it said nothing'
}

function seeLog(home: Home): string {
  return `see ${logPath(home)}`
}

/** Ours alone: two homes on one machine have two keys. */
function serverName(home: Home): string {
  return `mesh-${engineUser(home).publicKey.slice(1, 13).toLowerCase()}`
}

function infoOf(home: Home, record: EngineRecord): EngineInfo {
  return { running: true, url: record.url, pid: record.pid, version: record.version, dataDir: dataDir(home) }
}

function stoppedInfo(home: Home): EngineInfo {
  return { running: false, url: null, pid: null, version: null, dataDir: dataDir(home) }
}

function urlOf(port: number): string {
  return `nats://${HOST}:${port}`
}

function dataDir(home: Home): string {
  return join(home.engine, 'data')
}

function configPath(home: Home): string {
  return join(home.engine, 'server.conf')
}

function recordPath(home: Home): string {
  return join(home.engine, 'engine.json')
}

function pidPath(home: Home): string {
  return join(home.engine, 'pid')
}

function logPath(home: Home): string {
  return join(home.engine, 'log')
}

function stopMark(home: Home): string {
  return join(home.engine, 'stopped')
}
