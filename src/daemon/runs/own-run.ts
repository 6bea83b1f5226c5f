/** Finds a session's own run: the one that a supervisor started it as, else one made for its process. */
import { existsSync } from 'node:fs'
import type { RunSpec } from '../../api/supervisor.schema.ts'
import { readText, writeAtomic, writeNew } from '../../host/files.ts'
import { type Env, type Home, runDir, runEnvPath, sessionDir } from '../../host/home.ts'
import { files, isBySidecar, isOverHere, readSpec, readSteps } from '../../run/dir.ts'
import { isSameProcess, type ProcessIdentity } from '../../wire/envelope.schema.ts'
import { bounded, lineageIn, runEnv, type StartedIn, sessionRunId } from '../../wire/lineage.ts'
import { isRunId } from '../../wire/names.ts'
import { readRecord } from '../disk/session-dir.ts'
import type { OwnRun, Session } from '../session.ts'

interface Started extends Pick<Session, 'home' | 'place' | 'harness'> {
  env: Env
  key: string
  startedIn?: StartedIn
}

interface Beginning {
  home: Home
  project: string
  process: ProcessIdentity
  /** The client's id of the process's first conversation. */
  sessionId: string
  /** The run that the session was started in. */
  env: StartedIn
  /** Id of a run that may be this session. */
  candidate: string | undefined
  /** Id of the run that an earlier sidecar of this process found. */
  earlier: string | null
}

export function ownRun(session: Beginning): OwnRun {
  const { home, project, process, sessionId, env, candidate, earlier } = session
  const known = spawnedAs(home, sessionId) ?? (earlier === null ? null : supervised(home, earlier))
  const spawned = known ?? claimed(home, candidate, sessionId, process)
  if (spawned?.project === project) {
    const { run: id, lineage, name, owner: startedBy } = spawned
    return { id, lineage, isSupervised: true, name, startedBy }
  }
  const id = sessionRunId(project, process)
  const above = startedAgain(home, project, candidate, sessionId) ?? lineageIn(env)
  return { id, lineage: bounded(above).filter((run) => run !== id), isSupervised: false }
}

/** Returns the run that a session was spawned as; null for any other, and for one resumed after its run was over. */
function spawnedAs(home: Home, sessionId: string): RunSpec | null {
  if (!/^[\w-]{1,128}$/.test(sessionId)) return null
  const id = readText(files.spawned(home.runs, sessionId), 64)?.trim()
  return id === undefined || !isRunId(id) ? null : supervised(home, id)
}

/**
 * Returns the run of a session whose id its supervisor could not know in advance. The first to ask is the session
 * itself: whatever it starts comes later and has ids of its own.
 */
function claimed(home: Home, id: string | undefined, sessionId: string, process: ProcessIdentity): RunSpec | null {
  const spec = id !== undefined && isRunId(id) ? supervised(home, id) : null
  if (!spec || spec.session !== undefined) return null
  // The client restarts a killed session, maybe before the end of the run is published.
  const started = readSteps(runDir(home, spec.run)).find((step) => step.t === 'started')
  if (started && !isSameProcess(started.child, process)) return null
  const path = files.claim(runDir(home, spec.run))
  return writeNew(path, sessionId) || readText(path, 256) === sessionId ? spec : null
}

/**
 * Returns the lineage of a session that was killed and that its client restarted: its parent is the session that
 * spawned it.
 */
function startedAgain(home: Home, project: string, id: string | undefined, sessionId: string): string[] | null {
  const dir = id !== undefined && isRunId(id) ? runDir(home, id) : null
  const spec = dir === null || readText(files.claim(dir), 256) !== sessionId ? null : readSpec(dir)
  return spec?.background && spec.project === project ? spec.lineage : null
}

function supervised(home: Home, id: string): RunSpec | null {
  const spec = readSpec(runDir(home, id))
  const isSpawned = spec?.runKind === 'session' && !isBySidecar(spec)
  return isSpawned && !isOverHere(runDir(home, id)) ? spec : null
}

/** Returns this session's run; null for a person at a shell. Writes it down for the session's shells. */
export function findOwnRun({ home, key, place, harness, startedIn: started = {}, env }: Started): OwnRun | null {
  if (harness.kind === 'shell') return null
  const before = readRecord(home, key)
  const isSame = before !== null && isSameProcess(before.process, harness.process)
  const { sessionId } = harness.conversation
  const earlier = (isSame && before.run) || null
  const session = { sessionId, process: harness.process, env: started, candidate: env.MESH_RUN_ID, earlier }
  const run = ownRun({ home, project: place.project, ...session })
  writeRunEnv(sessionDir(home, key), run)
  return run
}

/**
 * Writes the run's environment for the session's shells, which read it with each call. Ids are hex and need no quoting.
 */
function writeRunEnv(dir: string, { id, lineage }: OwnRun): void {
  const { MESH_RUN_ID, MESH_LINEAGE } = runEnv(lineage, id)
  const text = `export MESH_RUN_ID=${MESH_RUN_ID} MESH_LINEAGE=${MESH_LINEAGE}\n`
  if (existsSync(dir)) writeAtomic(runEnvPath(dir), text)
}
