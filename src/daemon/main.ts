/**
 * Runs the sidecar's process: reads the environment, starts the sidecar, handles signals. Usage: `sidecar.js KIND
 * <session directory>`.
 */
import { basename, join } from 'node:path'
import type { SidecarRecord } from '../api/sidecar-record.schema.ts'
import { visible } from '../core/render.ts'
import { isStopped } from '../engine/record.ts'
import { MeshError } from '../errors.ts'
import {
  askedName,
  openSession,
  readAgentRecord,
  type SessionKind,
  sessionKinds,
  startedIn,
  stopBackground,
} from '../harness/sessions.ts'
import type { Harness, SessionOptions } from '../harness/types.ts'
import { ensurePrivateDir } from '../host/files.ts'
import { type Env, type Home, meshHome, socketPath } from '../host/home.ts'
import { foreignOwner, hintFor, type Lock, tryLock, whereabouts } from '../host/lock.ts'
import { type Logger, openLog } from '../host/log.ts'
import { collectWhenQuiet } from '../host/process/collect.ts'
import { changedProject } from '../host/repository/places.ts'
import { type Place, resolvePlace } from '../host/repository/project.ts'
import { defaultSettings, readSettings, type Settings } from '../host/settings.ts'
import { isSameProcess, type ProcessIdentity } from '../wire/envelope.schema.ts'
import { limits, times } from '../wire/limits.ts'
import { slugOf, toName } from '../wire/names.ts'
import { sessionEnd } from '../wire/session-end.ts'
import { readRecord } from './disk/session-dir.ts'
import { answersOf } from './handlers.ts'
import { Sidecar } from './sidecar.ts'
import { type ApiServer, serve } from './socket/server.ts'

declare const MESH_VERSION: string
/** Exit codes that the hook's loop reads: 0 ends it, any other starts the sidecar again. */
const EXIT = { done: 0, again: 1 }
const IDLE_CHECK_MS = 1000
/** Limits the end after a signal: `claude -p` waits 1.5 s for its hooks' children. */
const SIGNAL_MS = 1000
const LOCK_TRIES = 10

async function main(): Promise<void> {
  const [word, sessionDir] = process.argv.slice(2)
  const kind = sessionKinds.find((one) => one === word)
  if (!kind || !sessionDir) throw new MeshError('bad_request', `usage: sidecar.js ${sessionKinds.join('|')} DIR`)
  const { env } = process
  const home = meshHome(env)
  for (const dir of [home.root, home.run, join(home.root, 'logs')]) ensurePrivateDir(dir)
  const lock = lockSession(sessionDir)
  // Another sidecar serves this session.
  if (!lock) process.exit(EXIT.done)
  if (kind === 'operator' && isStopped(home)) throw new MeshError('mesh_down', 'mesh is down')
  const key = basename(sessionDir)
  const { log } = openLog(join(home.root, 'logs', `${key}.log`), env.MESH_LOG_LEVEL ?? 'info')
  guard(log)
  const finish = () => {
    lock.release()
    process.exit(EXIT.done)
  }
  const isOperator = kind === 'operator'
  const settings = settingsFor(home, log)
  const harness = openIfAlive(kind, {
    ...{ env, home, sessionDir, cwd: process.cwd() },
    log: (level, message, more) => log[level](more ?? {}, message),
  })
  if (!harness) return finish()
  const earlier = readRecord(home, key)
  const isRestart = earlier !== null && isSameProcess(earlier.process, harness.process)
  const place = isOperator ? findPlace(env, home) : sessionPlace(env, home, harness, isRestart ? earlier : null)
  if (place instanceof MeshError) return isOperator ? Promise.reject(place) : refuse(harness, place, log, finish)
  const asked = askedName(env)
  const name = asked ? toName(asked) : (namedBy(harness.title?.()) ?? place.defaultName)
  const desired = { name, explicit: asked !== undefined }
  const sidecar = new Sidecar({
    env,
    home,
    settings,
    key,
    place,
    harness,
    desired,
    startedIn: startedIn(env),
    version: MESH_VERSION,
    log,
    readRecord: readAgentRecord,
    stopBackground: ({ command, cwd }, pid, said) => stopBackground(env, { word: command[0]!, cwd, pid, said }),
    onEnd: finish,
  })
  // To end the sidecar of a living agent session is not to end the session. Its harness hears the signal first: if
  // the session is over, that ends this process in time.
  const onSignal = () =>
    isOperator ? void sidecar.end(sessionEnd('ended')) : setTimeout(() => process.exit(EXIT.again), SIGNAL_MS)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal)
  const server = await serve(socketPath(sessionDir), MESH_VERSION, answersOf(sidecar), log)
  if (isOperator) endWhenIdle(server, () => void sidecar.end(sessionEnd('idle')))
  // No new session: whatever `mesh down` there was holds.
  collectWhenQuiet()
  await sidecar.start(isRestart ? 0 : performance.timeOrigin)
}

/**
 * Locks the session. Returns null when another sidecar serves it. Tries again while a witness clears the directory of
 * the last one.
 */
function lockSession(sessionDir: string): Lock | null {
  const path = join(sessionDir, 'lock')
  for (let attempt = 0; ; attempt++) {
    try {
      ensurePrivateDir(sessionDir)
      const lock = tryLock(path)
      const owner = lock ? null : foreignOwner(path)
      if (owner) throw lockedElsewhere(path, owner)
      return lock
    } catch (error) {
      if (attempt >= LOCK_TRIES || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

function lockedElsewhere(path: string, owner: ProcessIdentity): MeshError {
  return new MeshError('sidecar_down', `${path} is locked by process ${owner.pid} of host ${whereabouts(owner)}`, {
    hint: hintFor(owner),
  })
}

/** Returns null when the session is over already. */
function openIfAlive(kind: SessionKind, options: SessionOptions): Harness | null {
  try {
    return openSession(kind, options)
  } catch (error) {
    if (MeshError.from(error).code !== 'not_alive') throw error
    return null
  }
}

/** Reads the settings. Damaged ones never keep anybody from working; `mesh doctor` names what is wrong with them. */
function settingsFor(home: Home, log: Logger): Settings {
  try {
    return readSettings(home)
  } catch (error) {
    log.warn({ error: MeshError.from(error).toBody() }, 'settings not read: the defaults apply')
    return defaultSettings
  }
}

function findPlace(env: Env, home: Home): Place | MeshError {
  try {
    return resolvePlace(env, process.cwd(), home)
  } catch (error) {
    return MeshError.from(error)
  }
}

/**
 * Returns the place of a session. A living session stays in its project when its sidecar restarts, even if the
 * directory was moved or removed, or the repository got a remote or another project file.
 */
function sessionPlace(env: Env, home: Home, harness: Harness, earlier: SidecarRecord | null): Place | MeshError {
  const place = findPlace(env, home)
  if (!earlier) return withFormer(env, home, place)
  const { project, name } = earlier
  if (place instanceof MeshError) return { project, worktree: harness.conversation.cwd, defaultName: name }
  return { ...place, project }
}

/** A project that was asked for is no surprise. */
function withFormer(env: Env, home: Home, place: Place | MeshError): Place | MeshError {
  if (place instanceof MeshError || env.MESH_PROJECT) return place
  const former = changedProject(home, place.worktree, place.project)
  return former === null ? place : { ...place, former }
}

/** A title of letters that names do not have makes none. */
function namedBy(title: string | null | undefined): string | null {
  return title && slugOf(title, limits.name) !== '' ? toName(title) : null
}

/** Refuses a session that may not join: its start text says why. */
async function refuse(harness: Harness, { message, hint }: MeshError, log: Logger, finish: () => void): Promise<void> {
  log.warn({ message }, 'not joined')
  await harness.start({
    status() {},
    evidence() {},
    interrupted() {},
    turnEnded() {},
    prompted() {},
    edited() {},
    conversation: async () => visible(`mesh: this session did not join: ${message} (${hint})`),
    ended: finish,
  })
}

/** Ends the sidecar loudly, in its log, on a bug. Its starter restarts it. */
function guard(log: Logger): void {
  const die = (error: unknown) => {
    log.fatal({ error: String(error), stack: error instanceof Error ? error.stack : undefined }, 'crashed')
    process.exit(EXIT.again)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
}

/** Ends an operator's sidecar that has had no calls for a while. */
function endWhenIdle(server: ApiServer, end: () => void): void {
  const timer = setInterval(() => {
    if (server.idleMs <= times.operatorIdle) return
    clearInterval(timer)
    end()
  }, IDLE_CHECK_MS)
}

main().catch((error) => {
  process.stderr.write(`${JSON.stringify({ error: MeshError.from(error).toBody() })}\n`)
  process.exit(EXIT.again)
})
