/** Finds the `/compact` that a person typed: no hook shows it that costs the model nothing, but the client's history does. */
import { join } from 'node:path'
import { readEnd } from '../../../host/files.ts'
import type { Env } from '../../../host/home.ts'
import { historyLine } from '../hooks/event.schema.ts'
import { configDir } from './registry.ts'

/** Limits the look: of interest is the last line of a session, and few type at once. */
const END_BYTES = 16 * 1024
const COMMAND = /^\/compact(\s|$)/

/**
 * Returns when it was typed (ISO 8601), if it is what was typed last in a conversation; else null. A second one in a row
 * is not in the history (2.1.329).
 */
export function typedCompact(env: Env, sessionId: string): string | null {
  const last = endOf(join(configDir(env), 'history.jsonl'))
    .map(parse)
    .findLast((line) => line?.sessionId === sessionId)
  return last && COMMAND.test(last.display) ? new Date(last.timestamp).toISOString() : null
}

function endOf(path: string): string[] {
  try {
    return readEnd(path, END_BYTES).toString('utf8').split('\n')
  } catch {
    return []
  }
}

function parse(line: string) {
  try {
    return historyLine.safeParse(JSON.parse(line)).data ?? null
  } catch {
    return null
  }
}
