/** The sidecar's log: bounded JSON lines in `logs/`. Never a message body at info level. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { limits } from '../wire/limits.ts'

/** The numbers of pino, which readers of the lines know. */
const LEVELS = { debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const
const LEAST: Record<string, number> = { trace: 10, ...LEVELS, silent: Number.POSITIVE_INFINITY }
const CHECK_EVERY_MS = 60_000

/** The `event` of log lines that `mesh doctor` reports: mail lost for good, and keys and names
 * that are not to be believed. */
export const alarms = {
  missingMail: 'missing_mail',
  foreignKey: 'foreign_key',
  foreignName: 'foreign_name',
} as const

export type LogLevel = keyof typeof LEVELS

/** Logs a message, or an object's fields with one. */
type Write = (fields: object | string, message?: string) => void

export type Logger = Record<LogLevel, Write>

/** Opens `path`; over `limits.logBytes` it becomes `<path>.1`, of which one is kept. */
export function openLog(path: string, level: string): { log: Logger; close(): void } {
  const open = () => openSync(path, 'a', 0o600)
  let fd = open()
  const rotate = () => {
    try {
      if (fstatSync(fd).size <= limits.logBytes) return
      renameSync(path, `${path}.1`)
      const next = open()
      closeSync(fd)
      fd = next
    } catch {
      // The directory is gone or the disk full: the next check tries again.
    }
  }
  rotate()
  const timer = setInterval(rotate, CHECK_EVERY_MS).unref()
  return { log: createLogger(level, (line) => writeSync(fd, line)), close: () => clearInterval(timer) }
}

/** Makes a logger that gives `write` each line from `level` up: `trace` to `fatal`, or `silent`. */
export function createLogger(level: string, write: (line: string) => void): Logger {
  const least = LEAST[level] ?? LEVELS.info
  const writer = (name: LogLevel): Write => {
    if (LEVELS[name] < least) return () => {}
    return (fields, message) => {
      try {
        write(lineOf(LEVELS[name], fields, message))
      } catch {
        // A full disk must not end the sidecar: lines are lost then.
      }
    }
  }
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    fatal: writer('fatal'),
  }
}

function lineOf(level: number, fields: object | string, message?: string): string {
  const said =
    typeof fields === 'string' ? { msg: fields } : { ...fields, ...(message === undefined ? {} : { msg: message }) }
  const line = { level, time: new Date().toISOString(), pid: process.pid, ...said }
  return `${JSON.stringify(line, (_, value) => (value instanceof Error ? errorFields(value) : value))}\n`
}

/** An error has no fields that JSON would show. */
function errorFields(error: Error): object {
  return { ...error, type: error.name, message: error.message, stack: error.stack }
}
