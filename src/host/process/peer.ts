/**
 * The process at the other end of a loopback connection, as the kernel knows it. Its own words prove nothing: another
 * user's process that took a free port may repeat what ours said, or relay it.
 */
import { execFile } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { endianness } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import { ownProcesses } from './list.ts'
import { isDescendant, processState } from './process.ts'

/** The kernel connects before the process accepts: until then the other end is nobody's. */
const ACCEPT_MS = 1000
const LOOK_MS = 5
/** 127.0.0.1 as proc(5) prints it: four bytes in the host's order. */
const LOOPBACK = endianness() === 'LE' ? '0100007F' : '7F000001'

/** An end of a connection in the kernel's table. */
interface End {
  uid: number
  inode: string
}

/**
 * True if the other end of `socket`, which is connected over 127.0.0.1, belongs to process `owner` or one that it started;
 * where these cannot be looked into, if it belongs to our user. The answer holds for the life of the connection
 * (docs/internals/processes.md). Never throws.
 */
export async function isPeer(socket: Socket, owner: ProcessIdentity): Promise<boolean> {
  const { localPort, remotePort } = socket
  if (localPort === undefined || remotePort === undefined) return false
  const look = process.platform === 'darwin' ? lookByLsof : lookByProc
  const deadline = performance.now() + ACCEPT_MS
  while (!socket.destroyed && processState(owner) !== 'dead') {
    const answer = await look(localPort, remotePort, owner)
    if (answer !== null) return answer
    if (performance.now() > deadline) return false
    await sleep(LOOK_MS)
  }
  return false
}

/** Null while the other end is nobody's. */
type Look = (localPort: number, remotePort: number, owner: ProcessIdentity) => Promise<boolean | null>

const lookByProc: Look = async (localPort, remotePort, owner) => {
  const table = await readFile('/proc/net/tcp', 'latin1').catch(() => '')
  const end = findEnd(table, remotePort, localPort)
  if (!end) return null
  if (end.uid !== process.getuid?.()) return false
  return processState(owner) === 'unknown' || belongsTo(owner.pid, `socket:[${end.inode}]`)
}

/**
 * The end of the established connection from `localPort` to `remotePort` on 127.0.0.1, in a table as proc(5) describes
 * /proc/net/tcp; null if there is none, or no process has accepted it.
 */
export function findEnd(table: string, localPort: number, remotePort: number): End | null {
  const at = table.indexOf(`: ${LOOPBACK}:${hex(localPort)} ${LOOPBACK}:${hex(remotePort)} 01 `)
  if (at < 0) return null
  // After the colon: local, remote, state, queues, timer, retransmits, uid, timeout, inode.
  const fields = table.slice(at + 2, at + 200).split(/\s+/)
  const [uid, inode] = [fields[6], fields[8]]
  return uid === undefined || inode === undefined || inode === '0' ? null : { uid: Number(uid), inode }
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}

/** The server may be the child of a script that stands in for it. */
async function belongsTo(pid: number, target: string): Promise<boolean> {
  if (await hasOpen(pid, target)) return true
  for (const one of ownProcesses()) {
    if (isDescendant(one.pid, pid) && (await hasOpen(one.pid, target))) return true
  }
  return false
}

/** True if the process has `target` open, or if the system does not let us look: it has capabilities that we have not. */
async function hasOpen(pid: number, target: string): Promise<boolean> {
  try {
    for (const name of await readdir(`/proc/${pid}/fd`)) {
      if ((await readlink(`/proc/${pid}/fd/${name}`).catch(() => '')) === target) return true
    }
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES'
  }
}

/** lsof(8) goes by who has the socket open: without containers of the same user, that is as good as the process. */
const lookByLsof: Look = async (localPort, remotePort) => {
  const what = [`-iTCP@127.0.0.1:${remotePort}`, '-sTCP:ESTABLISHED', '-Fn']
  const answer = await run('/usr/sbin/lsof', ['-nP', '-a', '-u', String(process.getuid?.()), ...what]).catch(() => null)
  const isOurs = answer?.stdout.split('\n').includes(`n127.0.0.1:${remotePort}->127.0.0.1:${localPort}`)
  return isOurs || null
}

const run = promisify(execFile)
