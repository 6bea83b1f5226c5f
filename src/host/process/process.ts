/** Identifies processes and judges whether they still live. The only place that reads /proc, `ps` and the boot id. */
import { spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import { isNested, processSpace, seesOwnSpace } from './space.ts'

const END_POLL_MS = 20

export type { ProcessIdentity }

export type ProcessState = 'alive' | 'paused' | 'dead' | 'unknown'

interface Machine {
  host: string
  boot: string
}

interface Sighting {
  start: string
  /** The first letter of `ps`'s state column: T stopped, t traced, Z and X ended. */
  letter: string
  threads: number
  /** Status as in wait(2), of one that ended and waits to be reaped. */
  status?: number
}

/** Generations in which a descendant is looked for. Between a client and its sidecar are one or two. */
const GENERATIONS = 8

let machine: Machine | undefined

function thisMachine(): Machine {
  machine ??= process.platform === 'darwin' ? macMachine() : linuxMachine()
  return machine
}

function linuxMachine(): Machine {
  return { host: hostname(), boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim() }
}

/** macOS gives `hostname()` a new value on every network, so the Bonjour name stands for the machine. */
function macMachine(): Machine {
  const script = '/usr/sbin/sysctl -n kern.bootsessionuuid; /usr/sbin/scutil --get LocalHostName'
  const [boot, name] = output('/bin/sh', ['-c', script]).split('\n')
  return { host: name?.trim() || hostname(), boot: boot?.trim() ?? '' }
}

/** This machine's name as records show it: the host name, on macOS the Bonjour name. At most 255 characters. */
export function hostName(): string {
  return thisMachine().host.slice(0, 255)
}

/** Changes with every boot: the kernel's random boot id on Linux, `kern.bootsessionuuid` on macOS. */
export function bootId(): string {
  return thisMachine().boot
}

/** The identity of a process of this space; null if there is none, or it has ended and waits to be reaped. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const seen = observe(pid)
  return seen && !ended(seen) ? identityWith(pid, seen.start) : null
}

/** The identity of a process of this space that was seen to have this start time. */
export function identityWith(pid: number, start: string): ProcessIdentity {
  const space = processSpace()
  return { host: hostName(), boot: bootId(), pid, start, ...(space === undefined ? {} : { space }) }
}

/**
 * The state of a process. `unknown` is one of another host or of another process space; one of an earlier boot of this
 * host is `dead`, and so is one whose pid has come round; `paused` is stopped by a signal or a debugger.
 */
export function processState(identity: ProcessIdentity): ProcessState {
  if (identity.host !== hostName()) return 'unknown'
  if (identity.boot !== bootId()) return 'dead'
  if (isOfOtherSpace(identity)) return 'unknown'
  const seen = observe(identity.pid)
  if (!seen || ended(seen) || seen.start !== identity.start) return mayBeElsewhere(identity) ? 'unknown' : 'dead'
  return seen.letter === 'T' || seen.letter === 't' ? 'paused' : 'alive'
}

/** True of a process of this boot whose pid belongs to another process space, whatever the machine is named in it. */
export function isOfOtherSpace({ boot, space }: ProcessIdentity): boolean {
  return boot === bootId() && space !== undefined && space !== processSpace()
}

/**
 * True if a process that is not to be seen may live all the same: where /proc is another space's, and of one that an
 * earlier release wrote down before the first process of this space was there.
 */
function mayBeElsewhere({ space, start }: ProcessIdentity): boolean {
  if (!seesOwnSpace()) return true
  return space === undefined && isNested() && Number(start) < Number(observe(1)?.start)
}

/**
 * Returns a process's status as wait(2) has it while it waits to be reaped by its parent: proc(5), field 52. Null
 * when the system does not say: it is reaped already, another user's (the field reads 0 then), or this is not Linux.
 */
export function waitStatus(identity: ProcessIdentity): number | null {
  const seen = observe(identity.pid)
  if (!seen || seen.start !== identity.start || seen.letter !== 'Z' || !isOurs(identity.pid)) return null
  return seen.status ?? null
}

/** True if all of its user and group ids are ours, so that the kernel lets us look at it (ptrace(2), access mode checks). */
function isOurs(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1')
    const ids = (key: string) => new Set(new RegExp(`^${key}:(.*)$`, 'm').exec(text)?.[1]?.trim().split(/\s+/))
    const only = (set: Set<string>, id: number | undefined) => set.size === 1 && set.has(String(id))
    return only(ids('Uid'), process.getuid?.()) && only(ids('Gid'), process.getgid?.())
  } catch {
    return false
  }
}

/** The process that thread `pid` belongs to, which is itself for a process; null if there is none. */
export function leaderOf(pid: number): number | null {
  if (process.platform === 'darwin') return observe(pid) ? pid : null
  try {
    return Number(/^Tgid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
  } catch {
    return null
  }
}

/** True if the process leads a process group: the group then has its number. */
export function leadsGroup(pid: number): boolean {
  if (process.platform === 'darwin') return Number(output('/bin/ps', ['-o', 'pgid=', '-p', String(pid)])) === pid
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) === pid
  } catch {
    return false
  }
}

/** True if no process of this machine is the one meant, under whatever name the machine went then: hosts are renamed. */
export function isAbsent(identity: ProcessIdentity): boolean {
  return processState({ ...identity, host: hostName() }) === 'dead'
}

/**
 * A killed process with several threads is a Z while its last threads still end: until they have, it keeps its ports
 * and files.
 */
function ended(seen: Sighting): boolean {
  return seen.letter === 'X' || (seen.letter === 'Z' && seen.threads <= 1)
}

function observe(pid: number): Sighting | null {
  if (!Number.isSafeInteger(pid) || pid < 1) return null
  if (process.platform === 'darwin') return observeByPs(pid)
  if (seesOwnSpace()) return observeByProc(pid)
  return pid === process.pid ? observeByProc('self') : null
}

/** proc(5): after the command in parentheses come the state (field 3), threads (20), start time (22), wait status (52). */
function observeByProc(pid: number | 'self'): Sighting | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [letter, start] = [fields[0], fields[19]]
    if (!letter || !start) return null
    return { letter, start, threads: Number(fields[17]), status: Number(fields[49]) }
  } catch {
    return null
  }
}

/** A fixed time zone and locale: `lstart` is local time, and must read the same after a journey. */
function observeByPs(pid: number): Sighting | null {
  const line = output('/bin/ps', ['-o', 'stat=,lstart=', '-p', String(pid)]).trim()
  const [letters, ...start] = line.split(/\s+/)
  return letters && start.length > 0 ? { letter: letters.charAt(0), start: start.join(' '), threads: 1 } : null
}

/** True if process `pid` is a descendant of process `ancestor`, however many lie between. */
export function isDescendant(pid: number, ancestor: number): boolean {
  for (let generation = 0; generation < GENERATIONS && pid > 1; generation++) {
    pid = parentOf(pid)
    if (pid === ancestor) return true
  }
  return false
}

/** 0 if there is no such process. */
function parentOf(pid: number): number {
  if (process.platform === 'darwin') return Number(output('/bin/ps', ['-o', 'ppid=', '-p', String(pid)]))
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}

/** The command line of a process, its arguments joined by spaces; empty if there is none. */
export function commandLine(pid: number): string {
  if (process.platform === 'darwin') return output('/bin/ps', ['-ww', '-o', 'args=', '-p', String(pid)]).trim()
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

/** A variable of the environment that a process of this user was started with; null if it has none or cannot be read. */
export function environmentOf(pid: number, name: string): string | null {
  if (process.platform === 'darwin') {
    const text = output('/bin/ps', ['-Eww', '-o', 'command=', '-p', String(pid)])
    return new RegExp(` ${name}=(.*?)(?= [A-Za-z_][A-Za-z0-9_]*=|$)`, 'm').exec(text)?.[1] ?? null
  }
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    return entries.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1) ?? null
  } catch {
    return null
  }
}

/** Returns the working directory of a process of this user, also a removed one; null if it cannot be read. */
export function workingDirectory(pid: number): string | null {
  if (process.platform === 'darwin') {
    return /^n(.*)$/m.exec(output('/usr/sbin/lsof', ['-a', '-p', String(pid), '-d', 'cwd', '-Fn']))?.[1] ?? null
  }
  try {
    return readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, '')
  } catch {
    return null
  }
}

/** True if a process of this user works in `dir`, by whatever path it came there. */
export function worksIn(pid: number, dir: string): boolean {
  if (process.platform === 'darwin') return workingDirectory(pid) === dir
  try {
    const [a, b] = [statSync(`/proc/${pid}/cwd`), statSync(dir)]
    return a.dev === b.dev && a.ino === b.ino
  } catch {
    return false
  }
}

/**
 * Ends a process: SIGTERM, `graceMs` to end, SIGKILL. Whether it still is the one meant (pid and start time) is looked at
 * right before each signal. True once it is gone. Throws `EPERM` for another user's.
 */
export async function endProcess(identity: ProcessIdentity, graceMs: number): Promise<boolean> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    // A stopped process takes SIGTERM only when it goes on.
    if (!sendSignal(identity, signal) || !sendSignal(identity, 'SIGCONT')) return true
    const deadline = performance.now() + graceMs
    while (performance.now() < deadline) {
      if (processState(identity) === 'dead') return true
      await sleep(END_POLL_MS)
    }
  }
  return processState(identity) === 'dead'
}

/** False if that process is not there any more. Throws `EPERM` for another user's. */
export function sendSignal(identity: ProcessIdentity, signal: NodeJS.Signals | 0): boolean {
  if (!['alive', 'paused'].includes(processState(identity))) return false
  try {
    process.kill(identity.pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Returns the standard output of a tool of the system; empty if it fails. */
export function output(command: string, args: string[]): string {
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
  return spawnSync(command, args, { encoding: 'utf8', env, timeout: 5000 }).stdout ?? ''
}
