/** Finds the sidecar that a command talks to: the one of the session it runs in, or an operator's. Starts nothing. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { SidecarRecord } from '../api/sidecar-record.schema.ts'
import { MeshError } from '../errors.ts'
import { readJson } from '../host/files.ts'
import { type Env, type Home, operatorKey, sessionDir, socketPath } from '../host/home.ts'
import { isNested, processSpace } from '../host/process/space.ts'
import { sandboxed, sandboxName } from '../host/sandbox.ts'

const RECORD_BYTES = 64 * 1024
const SESSION_KEY = /^cc-([1-9]\d{0,9})$/

export interface Operator {
  project: string
  /** The directory that the operator's sidecar works in. */
  worktree: string
  name: string
}

export interface Target {
  dir: string
  socket: string
  /** The name that the session had when its sidecar last wrote it down. */
  name?: string
  /** The project of the session. */
  project?: string
  /** Absent: an agent session's sidecar, which only that session starts. */
  operator?: Operator
}

/** The part of a sidecar's record that commands read, leniently: other versions write it as well. */
type FoundRecord = Pick<SidecarRecord, 'pid' | 'name' | 'project' | 'version'> &
  Partial<Pick<SidecarRecord, 'sidecar' | 'program'>>

/**
 * The sidecar of the agent session that this process runs in; null outside of one. A session that has ended (its
 * environment outlives it, for example in a tmux server) or is of another project than `MESH_PROJECT` is none. One whose
 * process a sandbox hides is one all the same.
 */
export function sessionTarget(env: Env, home: Home): Target | null {
  for (const { dir, pid, record, isElsewhere } of namedSessions(env, home)) {
    if (isElsewhere || !existsSync(dir)) continue
    // One that has not joined yet has a directory alone.
    if (exists(pid) || (record && mayBeHidden(env)))
      return { dir, socket: socketPath(dir), ...(record ? { name: record.name, project: record.project } : {}) }
  }
  return null
}

/**
 * Throws for a shell of an agent session that `sessionTarget` does not find although it may live: `sandboxed` where its
 * process cannot be seen, `sidecar_down` where it has not joined. Such a shell is no person's.
 */
export function refuseHidden(env: Env, home: Home): void {
  const named = namedSessions(env, home)
  if ((named.length === 0 && !env.CLAUDE_CODE_SESSION_ID) || named.some(({ isElsewhere }) => isElsewhere)) return
  if (named.some(({ pid }) => exists(pid))) {
    const hint = 'mesh doctor says why; --as NAME acts as the operator of that name'
    throw new MeshError('sidecar_down', 'the agent session that this runs in is not on the mesh', { hint })
  }
  if (mayBeHidden(env)) throw sandboxed(env, 'seeing the processes of the agent session that it runs in')
}

/** Where every process can be seen, one that is not there has ended. The space is that of the session's hook. */
function mayBeHidden(env: Env): boolean {
  if (sandboxName(env) !== null) return true
  return env.MESH_SPACE === undefined ? isNested() : env.MESH_SPACE !== (processSpace() ?? '')
}

interface NamedSession {
  dir: string
  /** The client's. */
  pid: number
  record: FoundRecord | null
  /** It is of another project than the environment asks for. */
  isElsewhere: boolean
}

function namedSessions(env: Env, home: Home): NamedSession[] {
  // The client's own word first: 2.1.329 gives the shells of `claude -c` the variables of an earlier process.
  const keys = [env.CLAUDE_PID && `cc-${env.CLAUDE_PID}`, env.MESH_SESSION]
  return keys.flatMap((key) => {
    const pid = key && SESSION_KEY.exec(key)?.[1]
    if (!pid) return []
    const dir = sessionDir(home, key)
    const record = readRecord(dir)
    const isElsewhere = Boolean(env.MESH_PROJECT && record && env.MESH_PROJECT !== record.project)
    return [{ dir, pid: Number(pid), record, isElsewhere }]
  })
}

/** The sidecar of an operator, running or not. */
export function operatorTarget(home: Home, operator: Operator): Target {
  const dir = sessionDir(home, operatorKey(operator.project, operator.name))
  return { dir, socket: socketPath(dir), operator }
}

/** Reads what the sidecar of a session's directory wrote last; null if nothing readable is there. */
export function readRecord(dir: string): FoundRecord | null {
  const value = readJson(join(dir, 'sidecar.json'), RECORD_BYTES) as Partial<SidecarRecord> | null | undefined
  if (typeof value?.pid !== 'number' || typeof value.project !== 'string') return null
  const { pid, name, project, version, sidecar, program } = value
  return { pid, name: String(name), project, version: String(version), sidecar, program }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
