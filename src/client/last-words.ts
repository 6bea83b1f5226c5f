/** Why a program that was started here ended at once: how it ended, and its last words on the standard error it was given. */
import type { ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { MeshError } from '../errors.ts'

const TAIL_BYTES = 16 * 1024
/** V8 says so on Node 20 and 22; the flags that lead to it are ours. */
const NOISE = /^Warning: disabling flag/
/** Node prints a stack and its version after the line that matters. */
const REASON = /^(\w*Error\b|mesh: |.*: bad option|#? ?Fatal)/

export type End = Pick<ChildProcess, 'exitCode' | 'signalCode'>

export function hasEnded({ exitCode, signalCode }: End): boolean {
  return exitCode !== null || signalCode !== null
}

/** Returns the line that says why, of what was written to the file behind `from`; empty if there is none. */
export function lastWords(path: string, from = 0): string {
  const lines = tail(path, from)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !NOISE.test(line))
  return lines.findLast((line) => REASON.test(line)) ?? lines.at(-1) ?? ''
}

/** Returns the error of a program that ended at its start: the one that it printed, else `sidecar_down`. */
export function startError(what: string, { exitCode, signalCode }: End, words: string, hint: string): MeshError {
  const printed = printedError(words)
  if (printed) return printed
  return new MeshError('sidecar_down', `${what} ${describeEnd(exitCode, signalCode)}${words && `: ${words}`}`, { hint })
}

function describeEnd(exitCode: End['exitCode'], signalCode: End['signalCode']): string {
  if (signalCode) return `was ended by ${signalCode} at its start`
  // What Node could not even start: there is no such program, or no such working directory.
  if (exitCode !== null && exitCode < 0) return `could not be started (${getSystemErrorName(exitCode)})`
  return exitCode === null ? 'does not answer' : `exited with ${exitCode} at its start`
}

function printedError(words: string): MeshError | null {
  try {
    const { error } = JSON.parse(words) as { error?: object }
    return error && 'code' in error ? MeshError.fromBody(error) : null
  } catch {
    return null
  }
}

function tail(path: string, from: number): string {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return ''
  }
  try {
    const { size } = fstatSync(fd)
    const start = Math.max(from, size - TAIL_BYTES)
    const bytes = Buffer.alloc(Math.max(0, size - start))
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, start))
  } finally {
    closeSync(fd)
  }
}
