/** Looks at each session directory, and asks its sidecar. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Response } from '../../api/ops.schema.ts'
import { call } from '../../client/client.ts'
import { MeshError } from '../../errors.ts'
import { readJson, readText } from '../../host/files.ts'
import { type Home, sessionDir, socketPath } from '../../host/home.ts'
import { foreignOwner, lockOwner } from '../../host/lock.ts'
import { identifyProcess, isOfOtherSpace, type ProcessState, processState } from '../../host/process/process.ts'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'

const RECORD_BYTES = 64 * 1024
/** Asked twice: a machine under load is slow. */
const ANSWER_MS = 4000
const TRIES = 2
const BUILD_MS = 5000

export interface SessionLook {
  /** `cc-<pid>` (Claude Code), `op-<hash>` (an operator) or of another client. */
  key: string
  dir: string
  /** Words for people: the session's name, else its key. */
  name: string
  isOperator: boolean
  /** Null where no sidecar got as far as writing one. */
  record: { sidecar: ProcessIdentity; process: ProcessIdentity; version: string } | null
  /** The program that it runs was replaced since it started. */
  isOldBuild: boolean
  /** The process that is the session: by the record, else by the key's pid. Null for an operator without a record. */
  client: ProcessIdentity | null
  clientState: ProcessState
  /** The live process that has the directory's lock, here or on another host. */
  owner: ProcessIdentity | null
  ownerState: ProcessState
  isForeign: boolean
  /** Its sidecar runs, or ran, in another process space of this machine. */
  isOfOtherSpace: boolean
  /** Code of the sidecar's last exit, as the hook's loop noted it; null while it runs. */
  failed: string | null
  /** The hook's loop, or the MCP server, which starts the sidecar again, lives. */
  hasLoop: boolean
  health: Response<'health'> | null
  /** The reason why there is no answer; null when no sidecar was asked. */
  error: MeshError | null
  /** Own wall clock half-way between question and answer. */
  askedAt: number
  /** Since when nothing in the directory changed, milliseconds. */
  quietMs: number
}

export function sessionKeys(home: Home): string[] {
  try {
    return readdirSync(home.run).filter((key) => /^[a-z]+-[0-9a-z]+$/.test(key))
  } catch {
    return []
  }
}

export function lookAtSessions(home: Home): Promise<SessionLook[]> {
  return Promise.all(sessionKeys(home).map((key) => lookAtSession(home, key)))
}

export async function lookAtSession(home: Home, key: string): Promise<SessionLook> {
  const dir = sessionDir(home, key)
  const value = readJson(join(dir, 'sidecar.json'), RECORD_BYTES) as Record<string, unknown> | null | undefined
  const sidecar = identityOf(value?.sidecar)
  const process = identityOf(value?.process)
  const record = sidecar && process ? { sidecar, process, version: String(value?.version) } : null
  const client = process ?? clientOf(key)
  const owner = lockOwner(join(dir, 'lock'))
  const ownerState = owner ? processState(owner) : 'dead'
  const mayAnswer = ownerState === 'alive' || (owner !== null && isOfOtherSpace(owner))
  const asked = mayAnswer ? await ask(dir) : { health: null, error: null, askedAt: 0 }
  return {
    key,
    dir,
    name: typeof value?.name === 'string' ? value.name.slice(0, 64) : key,
    isOperator: key.startsWith('op-'),
    record,
    isOldBuild: isReplaced(value?.program, value?.startedAt),
    client,
    clientState: client ? processState(client) : 'dead',
    owner,
    ownerState,
    isOfOtherSpace: [owner, sidecar].some((one) => one !== null && isOfOtherSpace(one)),
    isForeign: foreignOwner(join(dir, 'lock')) !== null,
    failed: readText(join(dir, 'failed'), RECORD_BYTES)?.trim() ?? null,
    hasLoop: isAlive(readText(join(dir, 'loop'), RECORD_BYTES) ?? serverOf(key)),
    ...asked,
    quietMs: Date.now() - lastChange(dir),
  }
}

/** A build takes a moment longer to be written than its first process to start. */
function isReplaced(program: unknown, startedAt: unknown): boolean {
  if (typeof program !== 'string') return false
  const written = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return written > Date.parse(String(startedAt)) + BUILD_MS
}

async function ask(dir: string): Promise<Pick<SessionLook, 'health' | 'error' | 'askedAt'>> {
  for (let attempt = 1; ; attempt++) {
    const before = Date.now()
    try {
      const health = await call(socketPath(dir), 'health', {}, { timeoutMs: ANSWER_MS })
      return { health, error: null, askedAt: (before + Date.now()) / 2 }
    } catch (thrown) {
      const error = MeshError.from(thrown)
      if (error.code !== 'timeout' || attempt === TRIES) return { health: null, error, askedAt: before }
    }
  }
}

/** An identity from a file of ours; null for anything else. */
export function identityOf(value: unknown): ProcessIdentity | null {
  const { host, boot, pid, start } = (value ?? {}) as Partial<Record<keyof ProcessIdentity, unknown>>
  const texts = [host, boot, start].every((text) => typeof text === 'string')
  return texts && Number.isSafeInteger(pid) ? (value as ProcessIdentity) : null
}

function clientOf(key: string): ProcessIdentity | null {
  const pid = /^(?:cc|mcp)-([1-9]\d{0,9})$/.exec(key)?.[1]
  return pid ? identifyProcess(Number(pid)) : null
}

function serverOf(key: string): string | null {
  return /^mcp-([1-9]\d{0,9})$/.exec(key)?.[1] ?? null
}

function isAlive(pid: string | null): boolean {
  return pid !== null && /^\d+\s*$/.test(pid) && identifyProcess(Number(pid)) !== null
}

function lastChange(dir: string): number {
  const paths = [dir, ...entries(dir)].filter((path) => existsSync(path))
  return Math.max(...paths.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0))
}

function entries(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name))
  } catch {
    return []
  }
}
