/** Processes that are measured: their end, time, memory and CPU. */
import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { commandLine } from '../../../src/host/process/process.ts'

export const isLinux = process.platform === 'linux'

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it had ended
  }
}

export async function finished(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const out = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name]!.on('data', (chunk) => (out[name] += String(chunk)))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, ...out }
}

/** Wall time of a whole process, from its start to its end, in milliseconds. */
export function timeProcess(command: string, args: string[], env: Record<string, string>, input?: string): number {
  const startedAt = performance.now()
  const done = spawnSync(command, args, {
    env,
    input,
    maxBuffer: 64 << 20,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  const took = performance.now() - startedAt
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${done.status}: ${done.stderr}`)
  return took
}

/** True if a server that greets as NATS does listens on the port. */
export function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (chunk) => settle(chunk.toString('latin1').startsWith('INFO ')))
    for (const event of ['error', 'close']) socket.once(event, () => settle(false))
  })
}

/** The options of Node that a sidecar was started with: what is measured in our own processes runs under the same. */
export function nodeFlags(sidecarPid: number): string[] {
  const words = commandLine(sidecarPid).split(' ')
  const program = words.findIndex((word) => word.endsWith('sidecar.js'))
  return words.slice(1, program)
}

export interface Memory {
  rss: number
  /** Anonymous pages, which no other process shares. Null where the system does not tell. */
  anonymous: number | null
}

/** In MB. */
export function memoryOf(pid: number): Memory {
  if (!isLinux) {
    const kib = Number(execFileSync('/bin/ps', ['-o', 'rss=', '-p', String(pid)]).toString())
    return { rss: kib / 1024, anonymous: null }
  }
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024
  return { rss: field('Rss'), anonymous: field('Anonymous') }
}

/** Seconds of CPU that a process has used. */
export function cpuOf(pid: number): number {
  if (isLinux) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // proc(5): user and system time in clock ticks, which are 100 per second on every Linux that Node runs on.
    return (Number(fields[11]) + Number(fields[12])) / 100
  }
  const time = execFileSync('/bin/ps', ['-o', 'time=', '-p', String(pid)])
    .toString()
    .trim()
  return time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
}
