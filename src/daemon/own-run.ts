/** Which run a session is: one that a supervisor started it as, else one of its own that its process stands for. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { RunSpec } from '../api/supervisor.schema.ts'
import { RUN_ENV_FILE } from '../harness/claude-code/hook-script.ts'
import { readText, writeAtomic } from '../host/files.ts'
import { type Home, runDir, sessionDir } from '../host/home.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { bounded, lineageIn, runEnv, type StartedIn, sessionRunId } from '../wire/lineage.ts'
import { isRunId } from '../wire/names.ts'
import { readRecord } from './run-dir.ts'
import { files, isOverHere, readSpec } from './run-files.ts'
import type { SidecarOptions } from './sidecar.ts'

export interface OwnRun {
  id: string
  /** The runs above it, the root first, its parent last. */
  lineage: string[]
  /** A supervisor tells it: what is seen of the session goes there. Else the session's sidecar tells it. */
  isSupervised: boolean
}

type Sidecar = Pick<SidecarOptions, 'home' | 'key' | 'place' | 'harness' | 'startedIn'>

interface Session {
  home: Home
  project: string
  process: ProcessIdentity
  /** The client's id of the conversation that the process began with. */
  sessionId: string
  /** What the session found in its environment. */
  env: StartedIn
  /** The run that an earlier sidecar of this process found. */
  earlier: string | null
}

export function ownRun(session: Session): OwnRun {
  const { home, project, process, sessionId, env, earlier } = session
  const spawned = spawnedAs(home, sessionId) ?? (earlier === null ? null : supervised(home, earlier))
  if (spawned?.project === project) return { id: spawned.run, lineage: spawned.lineage, isSupervised: true }
  const id = sessionRunId(project, process)
  return { id, lineage: bounded(lineageIn(env)).filter((above) => above !== id), isSupervised: false }
}

/** The run that a session was spawned as; null for any other, and for one that was resumed after its run was over. */
export function spawnedAs(home: Home, sessionId: string): RunSpec | null {
  if (!/^[\w-]{1,128}$/.test(sessionId)) return null
  const id = readText(files.spawned(home.runs, sessionId), 64)?.trim()
  return id === undefined || !isRunId(id) ? null : supervised(home, id)
}

function supervised(home: Home, id: string): RunSpec | null {
  const spec = readSpec(runDir(home, id))
  const isOurs = spec?.runKind === 'session' && spec.session !== undefined
  return isOurs && !isOverHere(runDir(home, id)) ? spec : null
}

/** The run of the session whose sidecar this is; null for a person at a shell. Leaves word of it for the session's shells. */
export function findOwnRun({ home, key, place, harness, startedIn: env = {} }: Sidecar): OwnRun | null {
  if (harness.kind === 'shell') return null
  const before = readRecord(home, key)
  const isSame = before !== null && isDeepStrictEqual(before.process, harness.process)
  const { sessionId } = harness.conversation
  const earlier = (isSame && before.run) || null
  const run = ownRun({ home, project: place.project, process: harness.process, sessionId, env, earlier })
  writeRunEnv(sessionDir(home, key), run)
  return run
}

/** Leaves word for what the session starts: its shells read it with each call. Ids are hex, so that there is nothing to quote. */
function writeRunEnv(dir: string, { id, lineage }: OwnRun): void {
  const { MESH_RUN_ID, MESH_LINEAGE } = runEnv(lineage, id)
  const text = `export MESH_RUN_ID=${MESH_RUN_ID} MESH_LINEAGE=${MESH_LINEAGE}\n`
  if (existsSync(dir)) writeAtomic(join(dir, RUN_ENV_FILE), text)
}
