/** `mesh logs`: the output of a detached run of this machine, as it was written. Read from its files: the mesh may be down. */

import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../../../errors.ts'
import { readJson } from '../../../host/files.ts'
import { type Home, runDir } from '../../../host/home.ts'
import { lockOwner } from '../../../host/lock.ts'
import { isRunId } from '../../../wire/names.ts'
import type { Context, Switches, Values } from '../../command.ts'
import { parseCount } from '../../input/units.ts'
import { checkRun } from '../../input/values.ts'
import { ForTerminal } from '../../show/terminal.ts'
import { ownerOf } from './supervised.ts'

const CHUNK = 64 * 1024
const SPEC_BYTES = 2 * 1024 * 1024
const POLL_MS = 200
/** A pipe gets the bytes; a terminal would do what they say. */
const shown = process.stdout.isTTY ? new ForTerminal() : null

type Flags = Values<'lines'> & Switches<'follow' | 'stderr'>

export async function run(context: Context<Flags>): Promise<undefined> {
  const { args, flags, home } = context
  const id = isRunId(args[0]!)
    ? args[0]!
    : (await context.sidecar().call('runs', { run: checkRun(args[0]!) }))[0]!.runId
  const dir = runDir(home, id)
  const path = join(dir, flags.stderr ? 'stderr' : 'stdout')
  if (!exists(dir))
    throw new MeshError('not_found', `${id} has no files here`, { hint: 'logs are on the machine it ran on' })
  const { project } = (readJson(join(dir, 'spec.json'), SPEC_BYTES) ?? {}) as { project?: unknown }
  if (project !== ownerOf(context).project)
    throw new MeshError('not_found', `there is no run ${id} in this project`, { hint: 'mesh ps --runs lists them' })
  if (!exists(path)) throw new MeshError('not_found', `${id} keeps no logs`, { hint: 'only runs with --detach do' })
  const log = new Log(path)
  const lines = flags.lines === undefined ? null : parseCount(flags.lines, '--lines', 0, 1_000_000)
  if (lines === null) for (const part of [`${path}.1`, path]) await copy(new Log(part))
  else await lastLines(log, lines)
  if (flags.follow) await follow(home, id, path, lines === null ? new Log(path, log.size) : log)
  if (shown) await print(shown.end())
}

/** Prints the log as it grows, until the run is over. One that began anew is followed from its beginning, after the rest of the old one. */
async function follow(home: Home, id: string, path: string, from: Log): Promise<void> {
  let log = from
  for (;;) {
    const isOver = lockOwner(join(runDir(home, id), 'lock')) === null
    await copy(log)
    if (log.isEmptied) {
      await copy(new Log(`${path}.1`, log.position))
      log.position = 0
    } else if (exists(path) && log.isAnother(path)) {
      log.close()
      log = new Log(path)
    } else if (isOver) return
    else await sleep(POLL_MS)
  }
}

async function copy(log: Log): Promise<void> {
  for (let chunk = log.next(); chunk.length > 0; chunk = log.next()) await write(chunk)
}

async function lastLines(log: Log, lines: number): Promise<void> {
  const kept: Buffer[] = []
  let breaks = 0
  for (let end = log.size; end > 0 && breaks <= lines; ) {
    const from = Math.max(0, end - CHUNK)
    const chunk = log.read(from, end - from)
    breaks += chunk.filter((byte) => byte === 0x0a).length
    kept.unshift(chunk)
    end = from
  }
  const text = Buffer.concat(kept)
  let at = text.length
  // The last line's own end is none between two lines.
  for (let left = lines; left > 0 && at > 0; left--) at = text.lastIndexOf(0x0a, at - 2) + 1
  log.position = log.size
  if (lines > 0) await write(text.subarray(at))
}

function write(chunk: Buffer): Promise<void> {
  return print(shown ? shown.next(chunk) : chunk)
}

function print(text: string | Buffer): Promise<void> {
  return new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve())))
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** A file that grows; one that is not there is empty. */
class Log {
  readonly #fd: number | null
  readonly size: number
  position: number

  constructor(path: string, position = 0) {
    this.#fd = exists(path) ? openSync(path, 'r') : null
    this.size = this.#fd === null ? 0 : fstatSync(this.#fd).size
    this.position = position
  }

  next(): Buffer {
    const chunk = this.read(this.position, CHUNK)
    this.position += chunk.length
    return chunk
  }

  read(from: number, length: number): Buffer {
    const buffer = Buffer.alloc(length)
    return this.#fd === null ? buffer.subarray(0, 0) : buffer.subarray(0, readSync(this.#fd, buffer, 0, length, from))
  }

  /** True if it began anew: what was not read is in the old file. */
  get isEmptied(): boolean {
    return this.#fd !== null && fstatSync(this.#fd).size < this.position
  }

  isAnother(path: string): boolean {
    return this.#fd === null || statSync(path).ino !== fstatSync(this.#fd).ino
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd)
  }
}
