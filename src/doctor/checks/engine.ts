/** The engine: its program, its process, its port, its key, its log. */
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { checkVersion, searchEngine } from '../../engine/binary.ts'
import { restartEngine, startEngine } from '../../engine/engine.ts'
import { installEngine } from '../../engine/fetch.ts'
import { configPath, isRunning, lastWords, logPath, readRecord } from '../../engine/record.ts'
import { MeshError } from '../../errors.ts'
import { lockOwner } from '../../host/lock.ts'
import {
  bootId,
  commandLine,
  endProcess,
  isOfOtherSpace,
  type ProcessIdentity,
  processState,
  sendSignal,
} from '../../host/process/process.ts'
import { type Finding, fault, good, word } from '../finding.ts'
import { type EngineLook, serves } from '../look/engine.ts'
import { crashes, lastLines, parseEngineLog } from '../look/logs.ts'
import type { Setup } from '../setup.ts'

const RECENT_MS = 600_000
/** This many unforeseen ends within ten minutes are a loop. */
const LOOP = 5
const END_MS = 5000
const LOCK_MS = 120_000

export async function lookAtEngine(setup: Setup): Promise<Finding[]> {
  const look = await setup.engine()
  return [
    ...program(setup, look),
    ...key(setup, look),
    ...running(setup, look),
    ...(await second(setup, look)),
    ...lockFile(setup),
    ...log(setup),
  ]
}

function program(setup: Setup, { record }: EngineLook): Finding[] {
  const { env, home } = setup
  try {
    const { engine, tooOld } = searchEngine(env, home)
    if (!engine) return [noProgram(setup, record !== null, tooOld[0]?.path)]
    const { path, version, source } = engine
    const { ok, warning } = checkVersion(version)
    const from = source === 'MESH_ENGINE' ? 'unset MESH_ENGINE' : 'mesh engine install'
    if (!ok) return [fault('engine.version', `${path}: ${warning}`, from)]
    return [good('engine.program', `nats-server ${version}, ${path} (${source})${warning ? `; ${warning}` : ''}`)]
  } catch (thrown) {
    return [fault('engine.program', MeshError.from(thrown).message, 'unset MESH_ENGINE')]
  }
}

/** Before the first start it is no fault: that start fetches one. A dead engine is never healed by fetching. */
function noProgram({ env, home }: Setup, wasThere: boolean, tooOld: string | undefined): Finding {
  const passed = tooOld ? `; ${tooOld} is too old` : ''
  if (!wasThere) return good('engine.program', `no nats-server yet: the first start fetches one${passed}`)
  const mend = async () => {
    const { path, version } = await installEngine(home, env, () => {})
    return `fetched nats-server ${version} to ${path}`
  }
  return fault(
    'engine.program',
    `the nats-server that ran is gone${passed}: a dead engine would stay dead`,
    'mesh engine install',
    mend,
  )
}

function key(setup: Setup, { user, badKey, state }: EngineLook): Finding[] {
  const path = join(setup.home.engine, 'user.key')
  if (badKey) {
    const mend = async () => {
      rmSync(path, { force: true })
      return `removed ${path}; ${await restart(setup)} with a new key`
    }
    return [
      fault(
        'engine.key',
        `${badKey.message}: no session can connect`,
        `rm ${word(path)} && mesh down && mesh up`,
        mend,
      ),
    ]
  }
  if (user || state === 'none' || state === 'dead') return []
  return [
    fault('engine.key', `${path} is gone: no new sidecar can connect`, 'mesh down && mesh up', () => restart(setup)),
  ]
}

function running(setup: Setup, look: EngineLook): Finding[] {
  const { record, state, stray, stopped, answer } = look
  const { home, env } = setup
  const start = async () => {
    const { pid, url } = await startEngine(home, env, () => {})
    return `the engine runs: process ${pid}, ${url}`
  }
  if (state === 'unknown' && (serves(look) || isOfOtherSpace(record!))) return [inOtherSpace(look)]
  if (state === 'unknown') {
    const cause = `the store was last opened by process ${record!.pid} of host ${record!.host}`
    return [fault('engine.host', `${cause}; if that host is gone or was renamed:`, 'mesh down && mesh up')]
  }
  if (state === 'paused') {
    const mend = async () => (sendSignal(record!, 'SIGCONT') ? `let process ${record!.pid} go on` : 'it had ended')
    return [fault('engine.paused', `process ${record!.pid} is stopped by a signal`, `kill -CONT ${record!.pid}`, mend)]
  }
  if (state === 'alive') return [...alive(setup, look), ...(stopped ? [markBesideEngine(start)] : [])]
  if (stray)
    return [
      fault('engine.record', `process ${stray.pid} is the engine, but engine.json does not say so`, 'mesh up', start),
    ]
  if (stopped)
    return [fault('engine.stopped', 'stopped by mesh down: messages are kept and go after mesh up', 'mesh up')]
  if (state === 'none') return [good('engine.running', 'it has not run yet: the first session or command starts it')]
  if (answer && answer !== 'closed')
    return [
      fault(
        'engine.port',
        `port ${record!.port} is taken by another program: the engine needs another`,
        'mesh up',
        start,
      ),
    ]
  if (record!.boot !== bootId())
    return [good('engine.running', 'not since the machine started: the next session starts it')]
  return [fault('engine.ended', `process ${record!.pid} ended unforeseen: ${lastWords(home)}`, 'mesh up', start)]
}

function inOtherSpace(look: EngineLook): Finding {
  const { pid, port, version } = look.record!
  const which = `nats-server ${version}, process ${pid} of another process space`
  if (serves(look)) return good('engine.running', `${which}, answers on port ${port} and takes our key`)
  const cause = `another process space holds this mesh home: its ${which}, does not answer here on port ${port}`
  return fault('engine.space', cause, 'mesh doctor   # outside of this sandbox or container')
}

function markBesideEngine(start: () => Promise<string>): Finding {
  return fault('engine.mark', 'it runs, but is marked as stopped: it would not be healed', 'mesh up', start)
}

function alive(setup: Setup, look: EngineLook): Finding[] {
  const { record, answer } = look
  const { pid, port, version } = record!
  if (serves(look))
    return [good('engine.running', `nats-server ${version}, process ${pid}, port ${port}, takes our key`)]
  // Reported by the check of the key.
  if (!look.user) return []
  const again = () => restart(setup)
  if (answer === 'foreign') {
    const cause = `process ${pid} runs, but it is not what answers on port ${port}`
    return [fault('engine.port', cause, 'mesh down && mesh up', again)]
  }
  if (answer === 'refused' || answer === 'stranger') {
    const cause = `process ${pid} runs, but port ${port} does not know the key in engine/user.key`
    return [fault('engine.key', cause, 'mesh down && mesh up', again)]
  }
  return [
    fault('engine.answers', `process ${pid} runs, but does not answer on port ${port}`, 'mesh down && mesh up', again),
  ]
}

/** Two servers on one store would ruin it, and those of earlier releases take no lock. Where none is known, one serves. */
async function second(setup: Setup, look: EngineLook): Promise<Finding[]> {
  const { record, stray, state } = look
  const isEngine = (command: string) => command.endsWith(` -c ${configPath(setup.home)}`)
  const known = record && isRunning(record) ? record.pid : stray?.pid
  const others = (await setup.processes()).filter(({ pid, command }) => isEngine(command) && pid !== known)
  const [other] = others
  if (!other) return []
  if (known === undefined && !(state === 'unknown' && serves(look))) return [unrecorded(setup, other)]
  const mend = async () => {
    for (const one of others) await endProcess(one, END_MS)
    return `ended process ${others.map(({ pid }) => pid).join(', ')}; ${await restart(setup)}, so that it reads the store anew`
  }
  const cause = `process ${other.pid} is a second server on the same store`
  return [fault('engine.second', cause, `kill ${other.pid} && mesh down && mesh up`, mend)]
}

function unrecorded(setup: Setup, { pid }: ProcessIdentity): Finding {
  const cause = `process ${pid} has the store open, but engine.json does not say so: sessions cannot find it`
  return fault('engine.record', cause, 'mesh up', () => restart(setup))
}

/** Starts, stops and heals take this lock for seconds. */
function lockFile({ home }: Setup): Finding[] {
  const path = join(home.engine, 'lock')
  const owner = lockOwner(path)
  const since = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
  if (!owner || processState(owner) === 'unknown' || Date.now() - since < LOCK_MS) return []
  const cause = `process ${owner.pid} (${commandLine(owner.pid).slice(0, 200)}) has had ${path} for minutes`
  return [fault('engine.lock', `${cause}: no command can start, stop or heal the engine`, `kill ${owner.pid}`)]
}

function log({ home }: Setup): Finding[] {
  const lines = parseEngineLog(lastLines(logPath(home)))
  const recent = crashes(lines).filter((at) => Date.now() - at < RECENT_MS)
  if (recent.length < LOOP) return []
  const reason = lines.findLast(({ level }) => level === 'FTL' || level === 'ERR')?.text
  const cause = `it ended unforeseen ${recent.length} times within ten minutes${reason ? `: ${reason}` : ''}`
  return [fault('engine.crashes', cause, `tail -n 50 ${word(logPath(home))}`)]
}

/** Ends the recorded engine and starts it on the same store and, if it is free, the same port. */
export async function restart({ home, env }: Setup): Promise<string> {
  const record = readRecord(home)
  if (record && isRunning(record)) await restartEngine(home, env, record.pid)
  const { pid } = await startEngine(home, env, () => {})
  return `started the engine again as process ${pid}`
}
