/** Finds the sidecar that a command talks to: the one of the session it runs in, or an operator's. Starts nothing. */
import { join } from 'node:path'
import type { SidecarRecord } from '../api/sidecar-record.schema.ts'
import { readJson } from '../host/files.ts'
import { type Env, type Home, operatorKey, sessionDir, socketPath } from '../host/home.ts'

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
 * environment outlives it, for example in a tmux server) or is of another project than `MESH_PROJECT` is none.
 */
export function sessionTarget(env: Env, home: Home): Target | null {
  for (const key of [env.MESH_SESSION, env.CLAUDE_PID && `cc-${env.CLAUDE_PID}`]) {
    const pid = key && SESSION_KEY.exec(key)?.[1]
    if (!pid || !exists(Number(pid))) continue
    const dir = sessionDir(home, key)
    const record = readRecord(dir)
    if (!record || (env.MESH_PROJECT && env.MESH_PROJECT !== record.project)) continue
    return { dir, socket: socketPath(dir), name: record.name, project: record.project }
  }
  return null
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
