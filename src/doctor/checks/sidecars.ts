/** The sidecars: each session directory, the process that locks it, the answer on its socket, its log. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { call, Skew } from '../../client/client.ts'
import { lastWords } from '../../client/last-words.ts'
import { answers } from '../../client/spawn.ts'
import { version } from '../../client/version.ts'
import { MeshError } from '../../errors.ts'
import { type Home, socketPath } from '../../host/home.ts'
import { foreignOwner, tryLock } from '../../host/lock.ts'
import { commandLine, endProcess, isOfOtherSpace, sendSignal } from '../../host/process/process.ts'
import { type Finding, fault, good, word } from '../finding.ts'
import { serves } from '../look/engine.ts'
import { lastLines, sidecarAlarms, sidecarCrashes } from '../look/logs.ts'
import { lookAtSession, type SessionLook, sessionKeys } from '../look/session.ts'
import type { Setup } from '../setup.ts'

/** A session that just started or just ended is in motion: nothing of it is a fault yet. */
const IN_MOTION_MS = 5000
const END_MS = 3000
/** A witness looks at once, and again whenever something ends. */
const WITNESS_MS = 10_000
const POLL_MS = 50
const RECENT_MS = 600_000
const LOOP = 3
/** The programs that take a session's lock. */
const MESH = /sidecar\.m?js|mesh/
/** A sidecar that starts has its lock, or has ended, within this long. */
const START_MS = 5000
/** An engine that came back is found again within this long. */
const LINK_MS = 6000

export async function lookAtSidecars(setup: Setup): Promise<Finding[]> {
  const sessions = await Promise.all((await setup.sessions()).map((session) => started(setup.home, session)))
  const isServing = serves(await setup.engine())
  const found = (await Promise.all(sessions.map((session) => judge(setup, session, isServing)))).flat()
  const findings = [...found, ...foreignLocks(setup.home), ...leftovers(setup.home), ...logs(setup.home)]
  if (findings.some(({ ok }) => !ok)) return findings
  const living = sessions.filter(({ health }) => health).length
  const all = sessions.length === 0 ? 'no session is on the mesh now' : `${living} of ${sessions.length} answer`
  return [good('sidecar', all), ...findings]
}

/** While a sidecar is being started, nothing shows whether the start before it failed: looks again until it is over. */
async function started(home: Home, first: SessionLook): Promise<SessionLook> {
  const deadline = performance.now() + START_MS
  let session = first
  while (isStarting(session) && performance.now() < deadline) {
    await sleep(POLL_MS)
    session = await lookAtSession(home, session.key)
  }
  return session
}

function isStarting({ owner, isForeign, clientState, hasLoop, failed }: SessionLook): boolean {
  return !owner && !isForeign && clientState !== 'dead' && hasLoop && failed === null
}

async function judge(setup: Setup, session: SessionLook, isServing: boolean): Promise<Finding[]> {
  // Its own witness, or its heartbeat, says what becomes of one of another process space.
  if (session.isOfOtherSpace) return []
  if (session.isForeign) {
    const cause = `${session.name}: its lock was taken on another host; if that is gone or was renamed:`
    return [fault('sidecar.host', cause, 'mesh down && mesh up')]
  }
  if (session.owner) return locked(session, isServing)
  if (!session.record) return unlocked(setup, session)
  if (session.isOperator || session.clientState === 'dead') return [dead(setup, session, isServing)]
  return restarting(setup.home, session)
}

/** Judges a directory whose lock a live process has. */
async function locked(session: SessionLook, isServing: boolean): Promise<Finding[]> {
  const { name, owner, ownerState, error, health, dir } = session
  const { pid } = owner!
  if (ownerState === 'paused') {
    const mend = async () => (sendSignal(owner!, 'SIGCONT') ? `let process ${pid} go on` : 'it had ended')
    return [fault('sidecar.paused', `${name}: process ${pid} is stopped by a signal`, `kill -CONT ${pid}`, mend)]
  }
  const command = commandLine(pid)
  // On its way out.
  if (command === '') return []
  if (!MESH.test(command)) {
    // Without a record nothing in it is worth keeping.
    const stale = session.record ? join(dir, 'lock') : dir
    const cause = `${name}: process ${pid}, which is no sidecar, has its lock`
    return [fault('sidecar.lock', cause, `rm -r ${word(stale)}`, async () => removeLock(stale, pid))]
  }
  // A witness, or a command, that clears up what a session left.
  if (!command.endsWith(` ${dir}`)) return []
  if (health) return judgeHealth(session, isServing)
  if (error instanceof Skew) return [skewed(session, error)]
  if (session.quietMs < IN_MOTION_MS && error?.code === 'sidecar_down') return []
  const mend = async () => {
    await endProcess(owner!, END_MS)
    return `ended process ${pid}; the session starts another`
  }
  return [fault('sidecar.answers', `${name}: process ${pid} does not answer: ${error?.message}`, `kill ${pid}`, mend)]
}

function removeLock(path: string, pid: number): string {
  const command = commandLine(pid)
  if (command === '' || MESH.test(command)) throw new MeshError('conflict', `process ${pid} changed just now`)
  rmSync(path, { recursive: true, force: true })
  return `removed ${path}; process ${pid} was left alone`
}

async function judgeHealth(session: SessionLook, isServing: boolean): Promise<Finding[]> {
  const { name, health, owner, dir } = session
  if (health!.connected || !isServing) return [...otherBuild(session), ...unknownWords(session)]
  const deadline = performance.now() + LINK_MS
  while (performance.now() < deadline) {
    await sleep(POLL_MS * 4)
    const now = await call(socketPath(dir), 'health', {}, { timeoutMs: LINK_MS }).catch(() => null)
    if (now?.connected) return []
  }
  return [fault('sidecar.link', `${name}: not connected although the engine runs`, `kill ${owner!.pid}`)]
}

/** Releases of one protocol live side by side; which sessions are behind is worth a line. */
function otherBuild({ name, health, isOldBuild, isOperator }: SessionLook): Finding[] {
  const { version: theirs } = health!
  if (theirs !== version)
    return [good('sidecar.version', `${name} is mesh ${theirs}, this command ${version}: they understand each other`)]
  if (!isOldBuild || isOperator) return []
  return [good('sidecar.build', `${name} runs the build before the last update; started anew it has the new one`)]
}

/** The words count as idle once a turn is over, so that the session can be reached. */
function unknownWords({ name, health }: SessionLook): Finding[] {
  const { unknownWords: words = [] } = health!
  if (words.length === 0) return []
  const said = words.map((one) => JSON.stringify(one)).join(', ')
  return [good('sidecar.client', `${name}: its client says ${said}, a state that mesh ${version} does not know`)]
}

/** An operator's makes way; a session's belongs to the session; a newer one is not to be replaced by an older. */
function skewed({ name, isOperator, owner }: SessionLook, error: Skew): Finding {
  const cause = `${name}: ${error.message}`
  if (!error.isOlder) return fault('sidecar.version', cause, 'npm install -g sessionmesh')
  if (!isOperator) return fault('sidecar.version', `${cause}: start that session anew`, 'mesh install')
  const mend = async () => {
    if (!(await endProcess(owner!, END_MS))) throw new MeshError('conflict', `process ${owner!.pid} does not end`)
    return `ended the sidecar of ${name}; the next command starts one of this version`
  }
  return fault('sidecar.version', cause, `kill ${owner!.pid}`, mend)
}

/** Judges a directory without a record whose lock is free: a start that came to nothing. */
function unlocked(setup: Setup, session: SessionLook): Finding[] {
  if (session.failed !== null && session.clientState !== 'dead') return [failing(setup.home, session)]
  if (session.quietMs < IN_MOTION_MS || (session.clientState !== 'dead' && session.hasLoop)) return []
  if (session.clientState !== 'dead') return [unattended(session)]
  return [leftover(session.dir)]
}

function restarting(home: Home, session: SessionLook): Finding[] {
  if (session.failed !== null) return [failing(home, session)]
  if (session.hasLoop || session.quietMs < IN_MOTION_MS) return []
  return [unattended(session)]
}

function failing(home: Home, { name, failed, key, dir }: SessionLook): Finding {
  const log = [join(home.root, 'logs', `${key}.log`), join(dir, 'stderr')].find((path) => existsSync(path)) ?? dir
  const reason = sidecarCrashes(lastLines(log)).at(-1)?.words || lastWords(join(dir, 'stderr'))
  const cause = `${name}: its sidecar ends at every start, last with code ${failed}${reason ? `: ${reason}` : ''}`
  return fault('sidecar.restarts', cause, `tail -n 20 ${word(log)}`)
}

function unattended({ name, client }: SessionLook): Finding {
  const what = `${name}: the session runs (process ${client!.pid}), but its hook, which starts the sidecar, does not`
  const cause = `${what}: its next prompt starts it, and if that does not help:`
  return fault('sidecar.lost', cause, `claude --continue   # after ending process ${client!.pid}`)
}

function dead(setup: Setup, session: SessionLook, isServing: boolean): Finding {
  const who = session.isOperator ? 'an operator’s sidecar' : 'session and sidecar'
  const cause = `${session.name}: ${who} died and the others do not know`
  if (!isServing) return fault('sidecar.dead', cause, 'mesh up')
  return fault('sidecar.dead', cause, 'mesh whoami', () => witnessed(setup, session))
}

/** Any sidecar is a witness: it says what became of the dead, sends what they had promised, and clears up. */
async function witnessed(setup: Setup, { dir, key, name }: SessionLook): Promise<string> {
  const operator = setup.operator()
  if (!operator) throw new MeshError('conflict', 'there is no operator to be the witness')
  await operator.call('whoami', {})
  const deadline = performance.now() + WITNESS_MS
  while (sessionKeys(setup.home).includes(key) && !(await answers(socketPath(dir)))) {
    if (performance.now() > deadline) throw new MeshError('timeout', `${dir} is still there`)
    await sleep(POLL_MS)
  }
  return `a witness reported the end of ${name}`
}

function leftover(dir: string): Finding {
  return fault('sidecar.leftover', `${dir} is left of a session that is over`, `rm -r ${word(dir)}`, async () => {
    const lock = tryLock(join(dir, 'lock'))
    if (!lock) throw new MeshError('conflict', `${dir} is in use now`)
    rmSync(dir, { recursive: true, force: true })
    return `removed ${dir}`
  })
}

/** Locks besides the sessions' own. After a move to another machine, or under its new name, no process here can break them. */
function foreignLocks({ run, engine, projects }: Home): Finding[] {
  const names = list(projects).flatMap((project) => {
    const dir = join(projects, project, 'names')
    return list(dir).map((name) => join(dir, name, 'lock'))
  })
  const foreign = [join(run, 'witness.lock'), join(engine, 'lock'), ...names].filter(isForeign)
  if (foreign.length === 0) return []
  const others = foreign.length > 1 ? ` (and ${foreign.length - 1} more)` : ''
  const cause = `${foreign[0]}${others} was taken on another host; if that is gone or was renamed:`
  return [fault('sidecar.host', cause, 'mesh down && mesh up')]
}

function isForeign(path: string): boolean {
  const owner = foreignOwner(path)
  return owner !== null && !isOfOtherSpace(owner)
}

/** Directories that a sidecar had put aside and died before it removed them. */
function leftovers(home: Home): Finding[] {
  return list(home.run)
    .filter((name) => name.startsWith('.gone-'))
    .map((name) => {
      const dir = join(home.run, name)
      return fault('sidecar.leftover', `${dir} is left of a session that is over`, `rm -r ${word(dir)}`, async () => {
        rmSync(dir, { recursive: true, force: true })
        return `removed ${dir}`
      })
    })
}

function logs(home: Home): Finding[] {
  const dir = join(home.root, 'logs')
  const names = list(dir).filter((name) => name.endsWith('.log'))
  return names.flatMap((name) => {
    const path = join(dir, name)
    const lines = lastLines(path)
    return [...crashing(path, lines), ...neverJoined(home, name, lines), ...alarms(path, lines)]
  })
}

function crashing(path: string, lines: string[]): Finding[] {
  const recent = sidecarCrashes(lines).filter(({ at, isStart }) => !isStart && Date.now() - at < RECENT_MS)
  if (recent.length < LOOP) return []
  const cause = `it crashed ${recent.length} times within ten minutes: ${recent.at(-1)!.words}`
  return [fault('sidecar.crashes', `${path}: ${cause}`, `tail -n 50 ${word(path)}`)]
}

/** The last that is known of a session that has ended since: its last start had failed. */
function neverJoined(home: Home, name: string, lines: string[]): Finding[] {
  const last = sidecarCrashes(lines.slice(-1)).find(({ at, isStart }) => isStart && Date.now() - at < RECENT_MS)
  if (!last || existsSync(join(home.run, name.replace(/\.log$/, '')))) return []
  return [good('sidecar.start', `${name}: the session did not join before it ended: ${last.words}`)]
}

function alarms(path: string, lines: string[]): Finding[] {
  const words = sidecarAlarms(lines).findLast(({ at }) => Date.now() - at < RECENT_MS)?.words
  return words ? [fault('sidecar.alarm', `${path}: ${words}`, `tail -n 50 ${word(path)}`)] : []
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
