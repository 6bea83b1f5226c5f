/** Facts about the engine without asking it: its files, the record of the last server, whether that one lives. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readJson, readText, writeAtomic } from '../host/files.ts'
import type { Home } from '../host/home.ts'
import { ownProcesses, type ProcessInfo } from '../host/process/list.ts'
import { commandLine, identifyProcess, processState, worksIn } from '../host/process/process.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { urlOf } from './port.ts'

const RECORD_BYTES = 64 * 1024
const LOG_BYTES = 64 * 1024 * 1024

/** `engine.json`: the last server that was started here. */
export interface EngineRecord extends ProcessIdentity {
  /** It holds the store's lock. Absent: it cannot here, or an earlier release started it. */
  held?: boolean
  port: number
  url: string
  version: string
  path: string
}

export function readRecord(home: Home): EngineRecord | null {
  const value = (readJson(recordPath(home), RECORD_BYTES) ?? {}) as { [Key in keyof EngineRecord]?: unknown }
  const { host, boot, pid, start, space, port, version, path } = value
  if (!isPort(port) || !Number.isSafeInteger(pid)) return null
  if (space !== undefined && typeof space !== 'string') return null
  const texts = [host, boot, start, version, path]
  if (texts.some((text) => typeof text !== 'string')) return null
  return { ...(value as EngineRecord), url: urlOf(port) }
}

function isPort(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 65_536
}

export function writeRecord(home: Home, record: EngineRecord): void {
  writeAtomic(recordPath(home), `${JSON.stringify(record)}\n`)
}

/**
 * A server that runs although `engine.json` is lost or names another: the server writes its own pid file. Its command
 * line shows that it is ours.
 */
export function strayRecord(home: Home): EngineRecord | null {
  const pid = Number(readText(pidPath(home), RECORD_BYTES) ?? '')
  if (!Number.isSafeInteger(pid) || pid < 1 || pid === readRecord(home)?.pid) return null
  const identity = identifyProcess(pid)
  if (!identity || !commandLine(pid).endsWith(` -c ${configPath(home)}`)) return null
  const port = Number(/^listen: "127\.0\.0\.1:(\d+)"$/m.exec(readText(configPath(home), RECORD_BYTES) ?? '')?.[1])
  return { ...identity, port, url: urlOf(port), version: 'unknown', path: 'unknown' }
}

/** Servers on this store that no record names, as an earlier release leaves them. They have the store open. */
export function strayServers(home: Home): ProcessInfo[] {
  const isOurs = ({ pid, command }: ProcessInfo) =>
    command.endsWith(` -c ${configPath(home)}`) && worksIn(pid, home.engine)
  return ownProcesses().filter(isOurs)
}

export function isRunning(record: EngineRecord): boolean {
  const state = processState(record)
  return state === 'alive' || state === 'paused'
}

/** The last line of the log, for an error: the server's reason, or the shell's. */
export function lastWords(home: Home): string {
  const lines = (readText(logPath(home), LOG_BYTES) ?? '').trimEnd().split('\n')
  return lines.at(-1)?.slice(0, 300) || 'it said nothing'
}

export function dataDir(home: Home): string {
  return join(home.engine, 'data')
}

/** The file that a server holds for its life, so that every process space with this store sees that one runs. */
export function storeLock(home: Home): string {
  return join(dataDir(home), 'lock')
}

/** The store's size, and the size to which the running server may let it grow; null where the configuration does not say. */
export function storeUse(home: Home): { usedBytes: number; capBytes: number | null } {
  const cap = /^ {2}max_file: (\d+)$/m.exec(readText(configPath(home), RECORD_BYTES) ?? '')?.[1]
  return { usedBytes: storedBytes(dataDir(home)), capBytes: cap === undefined ? null : Number(cap) }
}

/** Bytes of the messages in the store: `jetstream/<account>/streams/<stream>/msgs/*`. */
export function storedBytes(data: string): number {
  const accounts = list(join(data, 'jetstream'))
  const streams = accounts.flatMap((account) => list(join(account, 'streams')))
  const files = streams.flatMap((stream) => list(join(stream, 'msgs')))
  return files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0)
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name))
  } catch {
    return []
  }
}

export function configPath(home: Home): string {
  return join(home.engine, 'server.conf')
}

export function recordPath(home: Home): string {
  return join(home.engine, 'engine.json')
}

export function pidPath(home: Home): string {
  return join(home.engine, 'pid')
}

export function logPath(home: Home): string {
  return join(home.engine, 'log')
}

/** True after `mesh down`, until `mesh up` or a new session. */
export function isStopped(home: Home): boolean {
  return existsSync(stopMark(home))
}

/** True if `mesh down` came after this time, milliseconds. */
export function isStoppedSince(home: Home, since: number): boolean {
  return (statSync(stopMark(home), { throwIfNoEntry: false })?.mtimeMs ?? 0) > since
}

export function stopMark(home: Home): string {
  return join(home.engine, 'stopped')
}
