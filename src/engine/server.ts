/**
 * The server's process: configured, spawned, ended. Two servers on one store would both run (nats-server takes no lock),
 * so callers have the engine's lock, a server is started only through the gate below, and it inherits the store's lock.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, statfsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import { writeAtomic } from '../host/files.ts'
import { type Held, openHeld } from '../host/hold.ts'
import type { Env, Home } from '../host/home.ts'
import { endProcess as endByIdentity, identifyProcess } from '../host/process/process.ts'
import type { EngineBinary } from './binary.ts'
import { renderConfig, storeCap } from './config.ts'
import { engineUser, serverName } from './nkey.ts'
import { choosePort, isFree, START_MS, untilServing, urlOf } from './port.ts'
import {
  configPath,
  dataDir,
  type EngineRecord,
  isRunning,
  lastWords,
  logPath,
  pidPath,
  readRecord,
  storedBytes,
  storeLock,
  strayServers,
  writeRecord,
} from './record.ts'
import { heldElsewhere } from './standing.ts'

const START_TRIES = 3
const STOP_MS = 10_000
const STOP_POLL_MS = 10
/** A server that was killed gives the store up within a moment. */
const RELEASE_MS = 1000

/**
 * The child waits for a word before it becomes the server. The starter records the child's identity first, then says
 * it; a starter that dies in between closes the pipe, and the child ends without ever having touched the store.
 */
const GATE = 'umask 077; read -r go && exec "$0" "$@" </dev/null'

export interface Started {
  record: EngineRecord
  child: ChildProcess
}

/** Starts a server and waits until it serves. Under the lock, and only when no server runs. */
export async function launch(home: Home, binary: EngineBinary, env: Env, detached: boolean): Promise<Started> {
  for (const stray of strayServers(home)) await endByIdentity(stray, STOP_MS)
  const store = await holdStore(home)
  try {
    return await launchOn(store, home, binary, env, detached)
  } finally {
    closeSync(store.fd)
  }
}

/**
 * Holds the store for the server, which inherits it: whoever else may start one, in whatever process space, sees that.
 * Throws `mesh_down` if another server has it.
 */
async function holdStore(home: Home): Promise<Held> {
  for (const deadline = performance.now() + RELEASE_MS; ; await sleep(STOP_POLL_MS)) {
    const held = openHeld(storeLock(home))
    if (held) return held
    if (performance.now() > deadline) throw heldElsewhere('another engine has the store open')
  }
}

async function launchOn(store: Held, home: Home, binary: EngineBinary, env: Env, detached: boolean): Promise<Started> {
  let kept = readRecord(home)?.port
  const { prove } = engineUser(home)
  for (let i = 0; i < START_TRIES; i++) {
    const port = await choosePort(kept)
    const started = spawnServer(home, binary, env, detached, port, store)
    const alive = () => started.child.exitCode === null && started.child.signalCode === null
    if (await untilServing(port, serverName(home), alive, prove)) return started
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

function spawnServer(
  home: Home,
  binary: EngineBinary,
  env: Env,
  detached: boolean,
  port: number,
  store: Held,
): Started {
  writeConfig(home, port)
  const log = openSync(logPath(home), 'a', 0o600)
  const stderr = detached ? log : 'inherit'
  const child = spawn('/bin/sh', ['-c', GATE, binary.path, '-c', configPath(home)], {
    cwd: home.engine,
    detached,
    env: { PATH: env.PATH, HOME: env.HOME, TMPDIR: env.TMPDIR },
    stdio: ['pipe', log, stderr, store.fd],
  })
  closeSync(log)
  child.on('error', () => {})
  child.stdin?.on('error', () => {})
  try {
    const record = { ...recordOf(child, binary, port), ...(store.isHeld ? { held: true } : {}) }
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

export async function endProcess(record: EngineRecord): Promise<void> {
  signal(record, 'SIGTERM')
  signal(record, 'SIGCONT')
  if (await untilEnded(record)) return
  signal(record, 'SIGKILL')
  if (await untilEnded(record)) return
  throw new MeshError('timeout', `the engine (pid ${record.pid}) does not end`, {
    hint: 'end that process, then mesh up',
  })
}

/** By identity: the pid alone might be another process's by now. */
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

function seeLog(home: Home): string {
  return `see ${logPath(home)}`
}
