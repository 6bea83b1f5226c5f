/** What a transcript says of hand-overs that an earlier sidecar made. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type Evidence, readLine } from './line-evidence.ts'

/** How far back a transcript is read. What lies further back was long ago, and counts as unknown. */
const LOOK_BYTES = 8 * 1024 * 1024

/** The last that the end of the transcript shows of each token; nothing of those that do not occur in it. */
export function lastSeen(path: string | null, tokens: readonly string[]): Map<string, Evidence> {
  const seen = new Map<string, Evidence>()
  if (path === null || tokens.length === 0) return seen
  for (const line of endOf(path).split('\n')) {
    for (const evidence of readLine(line, tokens)) {
      if (seen.get(evidence.token)?.state !== 'surfaced') seen.set(evidence.token, evidence)
    }
  }
  return seen
}

/** A line cut at its beginning or end does not parse, and is passed over. */
function endOf(path: string): string {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return ''
  }
  try {
    const { size } = fstatSync(fd)
    const bytes = Buffer.alloc(Math.min(size, LOOK_BYTES))
    const count = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8', 0, count)
  } finally {
    closeSync(fd)
  }
}
