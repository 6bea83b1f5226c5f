/** Owner and mode of every file that mesh keeps: directories 0700, files 0600. */
import { chmodSync, lstatSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { settingsPath } from '../../host/settings.ts'
import { type Finding, fault, good, word } from '../finding.ts'
import type { Setup } from '../setup.ts'

/** A busy week leaves tens of thousands of files, of runs that are over: to look at each would take doctor seconds. */
const MOST_FILES = 6000

interface Entry {
  path: string
  stat: Stats
}

export async function lookAtPermissions({ home }: Setup): Promise<Finding[]> {
  const { root } = home
  const stat = lstatSync(root, { throwIfNoEntry: false })
  if (!stat?.isDirectory()) return []
  const entries = walk(root, stat)
  const own = entries.filter(({ stat: { uid } }) => uid === process.getuid?.())
  const foreign = entries.filter(({ stat: { uid } }) => uid !== process.getuid?.())
  // A person writes the settings, and they are no secret.
  const open = own.filter(({ path, stat: { mode } }) => (mode & (path === settingsPath(home) ? 0o022 : 0o077)) !== 0)
  const shut = own.filter((entry) => (entry.stat.mode & needed(entry)) !== needed(entry))
  const findings = [
    ...faulty(
      'permissions.owner',
      foreign,
      'of another user: mesh refuses or cannot write it',
      `sudo chown -R "$(id -un)" ${word(root)}`,
    ),
    ...faulty('permissions.open', open, 'open to other users', `chmod -R go-rwx ${word(root)}`, narrowed),
    ...faulty('permissions.shut', shut, 'not readable and writable for you', `chmod -R u+rwX ${word(root)}`, widened),
  ]
  if (findings.length > 0) return findings
  const looked = entries.length < MOST_FILES ? `${entries.length}` : `the first ${MOST_FILES}`
  return [good('permissions', `no other user may read any of ${looked} files`)]
}

/** Lists level by level, so keys before files of single runs; symbolic links are not followed. */
function walk(path: string, stat: Stats): Entry[] {
  const found: Entry[] = [{ path, stat }]
  for (const { path: dir, stat } of found) {
    if (!stat.isDirectory()) continue
    for (const name of list(dir)) {
      if (found.length >= MOST_FILES) return found
      const child = lstatSync(join(dir, name), { throwIfNoEntry: false })
      if (child && !child.isSymbolicLink()) found.push({ path: join(dir, name), stat: child })
    }
  }
  return found
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

/** A key may well be write-protected. */
function needed({ path, stat }: Entry): number {
  if (stat.isDirectory()) return 0o700
  return path.endsWith('.key') ? 0o400 : 0o600
}

function narrowed({ stat }: Entry): number {
  return stat.mode & 0o700
}

function widened(entry: Entry): number {
  return (entry.stat.mode & 0o777) | needed(entry)
}

function faulty(
  check: string,
  entries: Entry[],
  what: string,
  fix: string,
  mode?: (entry: Entry) => number,
): Finding[] {
  const [first] = entries
  if (!first) return []
  const others = entries.length > 1 ? ` and ${entries.length - 1} more are` : ' is'
  const mend = mode && (() => change(entries, mode))
  return [fault(check, `${first.path}${others} ${what}`, fix, mend)]
}

async function change(entries: Entry[], mode: (entry: Entry) => number): Promise<string> {
  for (const entry of entries) chmodSync(entry.path, mode(entry))
  return `changed the mode of ${entries.length} of mesh's own files`
}
