/** Sandboxes as bubblewrap makes them: a filter that refuses Unix sockets, a process space of its own, a read-only view. */
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Null where sandboxes can be made; else why not. */
export function noSandbox(): string | null {
  const tried = spawnSync('bwrap', ['--ro-bind', '/', '/', '--unshare-pid', '--proc', '/proc', 'true'], {
    encoding: 'utf8',
  })
  if (tried.error) return 'bubblewrap is not installed'
  return tried.status === 0 ? null : `bubblewrap does not work here: ${tried.stderr.trim()}`
}

const SOCKET_CALL: Partial<Record<NodeJS.Architecture, number>> = { x64: 41, arm64: 198 }
const AF_UNIX = 1
const EPERM = 1

/** Writes seccomp(2)'s program: socket(AF_UNIX, …) fails with EPERM, everything else passes. */
export function writeFilter(dir: string): string {
  const load = (at: number) => step(0x20, 0, 0, at)
  const ifNot = (value: number, skip: number) => step(0x15, 0, skip, value)
  const answer = (word: number) => step(0x06, 0, 0, word)
  const program = [load(0), ifNot(SOCKET_CALL[process.arch]!, 3), load(16), ifNot(AF_UNIX, 1)]
  const path = join(dir, 'filter')
  writeFileSync(path, Buffer.concat([...program, answer(0x0005_0000 | EPERM), answer(0x7fff_0000)]))
  return path
}

/** One instruction of classic BPF: the code, two jumps, the constant. */
function step(code: number, onTrue: number, onFalse: number, constant: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt16LE(code, 0)
  bytes.writeUInt8(onTrue, 2)
  bytes.writeUInt8(onFalse, 3)
  bytes.writeUInt32LE(constant, 4)
  return bytes
}

export interface Boxed {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a command in a sandbox of these bwrap arguments; `filter` is its third file descriptor. */
export function runBoxed(
  box: readonly string[],
  command: readonly string[],
  options: { cwd: string; env: Record<string, string>; filter?: string },
): Promise<Boxed> {
  const fd = options.filter === undefined ? null : openSync(options.filter, 'r')
  const words = [...box, ...(fd === null ? [] : ['--seccomp', '3']), ...command]
  const child = spawn('bwrap', words, {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', 'pipe', 'pipe', ...(fd === null ? [] : [fd])],
  })
  if (fd !== null) closeSync(fd)
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]!.setEncoding('utf8').on('data', (text: string) => (said[name] += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...said }))
  })
}
