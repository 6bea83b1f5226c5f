/** The server's configuration file, and how much disk it may take. Pure. */
import { MeshError } from '../errors.ts'
import { limits } from '../wire/limits.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB

/** Most bytes for new messages, however large the disk. */
const MAX_GROWTH_BYTES = 64 * GIB
/** With less than this free the engine is not started. */
export const MIN_FREE_BYTES = 64 * MIB
/** Presence lives in memory buckets, some hundred bytes a session. */
const MAX_MEMORY_BYTES = 256 * MIB

export interface EngineConfig {
  serverName: string
  port: number
  /** The one user's nkey (public). */
  userKey: string
  dataDir: string
  logFile: string
  pidFile: string
  /** From `storeCap`. */
  maxFileBytes: number
}

/**
 * Bytes that the store may have in all: what it has, and half of what is free, at most 64 GiB more.
 * Throws `store_full` when less than 64 MiB are free.
 */
export function storeCap(usedBytes: number, freeBytes: number, dataDir: string): number {
  if (freeBytes < MIN_FREE_BYTES) {
    const [free, needed] = [Math.floor(freeBytes / MIB), MIN_FREE_BYTES / MIB]
    throw new MeshError('store_full', `only ${free} MiB are free for ${dataDir}, the engine needs ${needed} MiB`)
  }
  return Math.floor(usedBytes + Math.min(freeBytes / 2, MAX_GROWTH_BYTES))
}

/**
 * Renders `server.conf`: loopback only, one nkey user, every acknowledged message fsynced (`sync_interval: always`;
 * the default syncs every two minutes).
 */
export function renderConfig(config: EngineConfig): string {
  return `# Written by mesh whenever it starts the engine.
listen: "127.0.0.1:${config.port}"
server_name: ${quoteValue(config.serverName)}
pid_file: ${quoteValue(config.pidFile)}
log_file: ${quoteValue(config.logFile)}
logfile_size_limit: ${limits.logBytes}
logfile_max_num: 2
max_payload: ${limits.payloadBytes}
ping_interval: "10s"
ping_max: 2
write_deadline: "10s"
authorization { users: [ { nkey: ${config.userKey} } ] }
jetstream {
  store_dir: ${quoteValue(config.dataDir)}
  sync_interval: always
  max_mem: ${MAX_MEMORY_BYTES}
  max_file: ${config.maxFileBytes}
}
`
}

/** A double-quoted string of the server's configuration language: the escapes \\ \" \n \r \t, and no variables. */
export function quoteValue(text: string): string {
  const escapes: Record<string, string> = { '\\': '\\\\', '"': '\\"', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
  return `"${text.replace(/[\\"\n\r\t]/g, (c) => escapes[c] ?? c)}"`
}
