/** Finds the sidecars of a project that run on this machine. Asks none and starts none. */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Home, socketPath } from '../host/home.ts'
import { readRecord, type Target } from './find.ts'
import { version } from './version.ts'

export interface LivingTarget extends Target {
  name: string
  /** A person's, not a client's. */
  isOperator: boolean
}

/** Those of this version first: others may not know what is asked. */
export function livingTargets(home: Home, project: string): LivingTarget[] {
  const found = entries(home.run).flatMap((key) => {
    const dir = join(home.run, key)
    const record = readRecord(dir)
    if (record?.project !== project || !isThere(record.sidecar?.pid ?? 0)) return []
    const { name } = record
    const isOperator = basename(dir).startsWith('op-')
    return [{ target: { dir, socket: socketPath(dir), name, project, isOperator }, isOld: record.version !== version }]
  })
  return found.sort((a, b) => Number(a.isOld) - Number(b.isOld)).map(({ target }) => target)
}

/** Projects that have a sidecar running on this machine. */
export function livingProjects(home: Home): string[] {
  const projects = entries(home.run).flatMap((key) => {
    const record = readRecord(join(home.run, key))
    return record && isThere(record.sidecar?.pid ?? 0) ? [record.project] : []
  })
  return [...new Set(projects)].sort()
}

function entries(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

function isThere(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}
