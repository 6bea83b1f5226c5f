/** The sidecar's log: bounded JSON lines in `logs/`. Never a message body at info level. */
import { renameSync, statSync } from 'node:fs'
import { destination, type Logger, pino } from 'pino'
import { limits } from '../wire/limits.ts'

export type { Logger }

const CHECK_EVERY_MS = 60_000

/** Opens `path`; over `limits.logBytes` it becomes `<path>.1`, of which one is kept. */
export function openLog(path: string, level: string): { log: Logger; close(): void } {
  const target = destination({ dest: path, sync: true, mode: 0o600, mkdir: false })
  // A full disk must not end the sidecar: lines are lost then.
  target.on('error', () => {})
  const rotate = () => {
    try {
      if (statSync(path).size <= limits.logBytes) return
      renameSync(path, `${path}.1`)
      target.reopen()
    } catch {
      // The directory is gone or the disk full: the next check tries again.
    }
  }
  rotate()
  const timer = setInterval(rotate, CHECK_EVERY_MS).unref()
  const log = pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, target)
  return { log, close: () => clearInterval(timer) }
}
