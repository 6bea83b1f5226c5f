/** The user that a process belongs to. */
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'

/** Returns the user id of process `pid`; null where it cannot be seen. */
export function userOf(pid: number): number | null {
  if (process.platform === 'linux') return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? null
  const { stdout } = spawnSync('/bin/ps', ['-o', 'uid=', '-p', String(pid)], { encoding: 'utf8' })
  return /^\s*\d+\s*$/.test(stdout ?? '') ? Number(stdout) : null
}
