/**
 * Processes that are provably of mesh and without a session: this user's, with a command line of ours whose mesh home is
 * confirmed by a second witness (the environment or the working directory), and no session left to serve. Another mesh
 * home's are left alone as long as that home exists.
 */
import { existsSync } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { configPath, isRunning, readRecord as readEngineRecord, strayRecord } from '../../engine/record.ts'
import { readJson } from '../../host/files.ts'
import type { Home } from '../../host/home.ts'
import { lockOwner } from '../../host/lock.ts'
import { ownProcesses, type ProcessInfo } from '../../host/process/list.ts'
import {
  commandLine,
  endProcess,
  environmentOf,
  identifyProcess,
  processState,
  workingDirectory,
} from '../../host/process/process.ts'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import { identityOf } from './session.ts'

const RECORD_BYTES = 64 * 1024
/** A process that is about to end, or has just started, is another or none by then. */
const SETTLE_MS = 2500
const SETTLE_POLL_MS = 100
const END_MS = 3000

const SIDECAR = /sidecar\.js ([a-z-]+) (\/.+\/run\/[a-z]+-[0-9a-z]+)$/
const LOOP = /(?:^|\/)(?:sh|dash|bash) (\/.+\/claude-code\.sh) sidecar (\d+)(?: plugin)?$/
const ENGINE = / -c (\/.+\/engine)\/server\.conf$/

export interface Orphan extends ProcessInfo {
  kind: 'sidecar' | 'hook loop' | 'engine'
  /** The mesh home that it belongs to. */
  home: string
  /** The reason why it is one. */
  evidence: string
}

/** The orphans of this mesh home and of homes that are gone. Those that end by themselves meanwhile are left out. */
export async function findOrphans(home: Home): Promise<Orphan[]> {
  const deadline = performance.now() + SETTLE_MS
  let found = scan(home)
  while (found.length > 0 && performance.now() < deadline) {
    await sleep(SETTLE_POLL_MS)
    const now = new Set(scan(home).map(({ pid, start }) => `${pid} ${start}`))
    found = found.filter(({ pid, start }) => now.has(`${pid} ${start}`))
  }
  return found
}

/** SIGTERM, three seconds, SIGKILL; looked at again right before. False if it does not end. */
export async function endOrphan(home: Home, orphan: Orphan): Promise<boolean> {
  const still = scan(home).some(({ pid, start }) => pid === orphan.pid && start === orphan.start)
  return still ? endProcess(orphan, END_MS) : processState(orphan) === 'dead'
}

function scan(home: Home): Orphan[] {
  return ownProcesses()
    .flatMap((process) => [sidecar(home, process), loop(home, process), engine(home, process)])
    .filter((orphan) => orphan !== null)
}

function sidecar(home: Home, info: ProcessInfo): Orphan | null {
  const [, , dir] = SIDECAR.exec(info.command) ?? []
  if (!dir) return null
  const root = dirname(dirname(dir))
  if (environmentOf(info.pid, 'MESH_HOME') !== root || !concerns(home, root)) return null
  const why = sidecarEvidence(dir, info)
  return why ? { ...info, kind: 'sidecar', home: root, evidence: why } : null
}

/** A session that lives keeps its sidecar, whatever became of its directory. */
function sidecarEvidence(dir: string, { pid }: ProcessInfo): string | null {
  const owner = lockOwner(join(dir, 'lock'))
  if (owner && owner.pid !== pid && commandLine(owner.pid).endsWith(` ${dir}`) && recordOf(dir, 'sidecar')?.pid !== pid)
    return `process ${owner.pid} serves its session`
  const clientPid = /^[a-z]+-([1-9]\d*)$/.exec(basename(dir))?.[1]
  if (!clientPid || basename(dir).startsWith('op-')) return isEmptied(dir) ? `its directory ${dir} is gone` : null
  const client = recordOf(dir, 'process')
  const isDead = client ? processState(client) === 'dead' : identifyProcess(Number(clientPid)) === null
  return isDead ? `its client, process ${client?.pid ?? clientPid}, is dead` : null
}

/** A process as the sidecar wrote it down: the pid alone may be another process's by now. */
function recordOf(dir: string, which: 'sidecar' | 'process'): ProcessIdentity | null {
  const value = readJson(join(dir, 'sidecar.json'), RECORD_BYTES) as Record<string, unknown> | null | undefined
  return identityOf(value?.[which])
}

/** An absolute MESH_HOME overrides the home that the script was made for, as in the script itself. */
function loop(home: Home, info: ProcessInfo): Orphan | null {
  const [, script, client] = LOOP.exec(info.command) ?? []
  if (!script) return null
  const named = environmentOf(info.pid, 'MESH_HOME')
  const root = named && isAbsolute(named) ? named : dirname(dirname(script))
  if (!concerns(home, root) || identifyProcess(Number(client)) !== null) return null
  return { ...info, kind: 'hook loop', home: root, evidence: `its client, process ${client}, is dead` }
}

function engine(home: Home, info: ProcessInfo): Orphan | null {
  const [, dir] = ENGINE.exec(info.command) ?? []
  if (!dir || workingDirectory(info.pid) !== dir) return null
  const root = dirname(dir)
  const orphan = { ...info, kind: 'engine', home: root } as const
  if (isGone(root)) return { ...orphan, evidence: `its mesh home ${root} is gone` }
  if (join(dir, 'server.conf') !== configPath(home)) return null
  const record = readEngineRecord(home)
  const known = record && isRunning(record) ? record.pid : strayRecord(home)?.pid
  if (known === info.pid) return null
  return { ...orphan, evidence: known ? `process ${known} is the engine of that store` : 'no record names it' }
}

/** This home, or one that is gone. */
function concerns(home: Home, root: string): boolean {
  return root === home.root || isGone(root)
}

/** A process that still runs on a removed home may make some of its directories anew, but none of these files. */
function isGone(root: string): boolean {
  const kept = ['member.key', 'engine/user.key', 'engine/engine.json', 'engine/server.conf']
  return !kept.some((name) => existsSync(join(root, name)))
}

function isEmptied(dir: string): boolean {
  return !existsSync(join(dir, 'lock')) && !existsSync(join(dir, 'sidecar.json'))
}
