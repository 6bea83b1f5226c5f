/** Reads the ends of log files and finds trouble in them. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { alarms } from '../../host/log.ts'

const TAIL_BYTES = 256 * 1024

/** The last lines of a file, without the first, which may be cut; none if it cannot be read. */
export function lastLines(path: string): string[] {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return []
  }
  try {
    const { size } = fstatSync(fd)
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES))
    const count = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    const lines = bytes.toString('utf8', 0, count).trimEnd().split('\n')
    return size > TAIL_BYTES ? lines.slice(1) : lines
  } finally {
    closeSync(fd)
  }
}

export interface EngineLogLine {
  at: number
  /** INF, WRN, ERR, FTL. */
  level: string
  text: string
}

/** `[pid] 2026/11/21 05:16:28.123456 [INF] text`, in local time. Lines of another form are none of the server's. */
export function parseEngineLog(lines: readonly string[]): EngineLogLine[] {
  return lines.flatMap((line) => {
    const [, day, time, level, text] =
      /^\[\d+\] (\d{4}\/\d\d\/\d\d) (\d\d:\d\d:\d\d)\.\d+ \[([A-Z]{3})\] (.*)$/.exec(line) ?? []
    return day ? [{ at: Date.parse(`${day.replaceAll('/', '-')}T${time}`), level: level!, text: text! }] : []
  })
}

/** Returns the times at which the server was started although it had not ended calmly before. */
export function crashes(log: readonly EngineLogLine[]): number[] {
  const found: number[] = []
  let running = false
  for (const { at, text } of log) {
    if (text.startsWith('Starting nats-server')) {
      if (running) found.push(at)
      running = true
    } else if (text.startsWith('Server Exiting')) running = false
  }
  return found
}

/** Returns the server's complaints since its last start. */
export function complaints(log: readonly EngineLogLine[]): EngineLogLine[] {
  const start = log.findLastIndex(({ text }) => text.startsWith('Starting nats-server'))
  const damage = /corrupt|checksum|recover|metafile|unmarshal|truncat|bad msg|no state found/i
  // What one connection did wrong is not the store's; a killed server reads its last block anew, and says so.
  const harmless = / - cid:|prior state file|state outdated/
  return log
    .slice(start + 1)
    .filter(({ level, text }) => level === 'FTL' || level === 'ERR' || (level === 'WRN' && damage.test(text)))
    .filter(({ text }) => !harmless.test(text))
}

export interface SidecarLogLine {
  at: number
  words: string
  /** The hook wrote it: its sidecar did not get as far as logging. */
  isStart?: true
}

/** Returns the crashes that a sidecar logged, each with its error. */
export function sidecarCrashes(lines: readonly string[]): SidecarLogLine[] {
  return parseSidecarLog(lines)
    .filter(({ level }) => level === FATAL)
    .map(({ time, error, msg }) => {
      return { at: Date.parse(String(time)), words: String(error), ...(msg === NOT_STARTED ? { isStart: true } : {}) }
    })
}

/** Returns what a sidecar logged that no session gets over by itself, each with its message. */
export function sidecarAlarms(lines: readonly string[]): SidecarLogLine[] {
  return parseSidecarLog(lines)
    .filter(({ event, msg }) => events.some((one) => one === event) || OLD_ALARM.test(String(msg)))
    .map(({ time, msg, missing, from, to }) => {
      const which = Number.isSafeInteger(missing) ? `: ${missing} from ${from} to ${to}` : ''
      return { at: Date.parse(String(time)), words: `${msg}${which}` }
    })
}

const FATAL = 60
/** As claude-code.sh writes it. */
const NOT_STARTED = 'not started'
const events = Object.values(alarms)
/** Sidecars of 0.1.0 log no `event`. */
const OLD_ALARM = /^(messages of this sender are missing|members whose key is not)/

type Fields = Partial<Record<'time' | 'level' | 'event' | 'msg' | 'error' | 'missing' | 'from' | 'to', unknown>>

/** Parses the lines that may matter: most of a log is neither a crash nor an alarm. */
function parseSidecarLog(lines: readonly string[]): Fields[] {
  return lines.flatMap((line) => {
    if (!/"level":[56]0/.test(line)) return []
    try {
      return [JSON.parse(line) as Fields]
    } catch {
      return []
    }
  })
}
