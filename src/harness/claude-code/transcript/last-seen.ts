/** Searches a transcript for the hand-overs of an earlier sidecar. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type Evidence, readLine } from './line-evidence.ts'

/** Limits how far back a transcript is read. Older hand-overs count as unknown. */
const LOOK_BYTES = 8 * 1024 * 1024

/** Returns the last evidence of each token at the end of the transcript; tokens that do not occur are left out. */
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

/** Returns the end of the file. A line cut at its beginning or end does not parse, and is passed over. */
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
