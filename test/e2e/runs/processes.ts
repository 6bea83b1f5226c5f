/** What tests of runs share: processes and scripts. */
import { readFileSync } from 'node:fs'

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever a command printed
export type Json = any

export function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}

export function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z')
  } catch {
    return false
  }
}

export function sh(script: string): string[] {
  return ['--', 'sh', '-c', script]
}
