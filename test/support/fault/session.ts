/** A session for the fault suite: a process that stands for an agent's client, with its sidecar attached to it. */
import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readRecord } from '../../../src/daemon/disk/session-dir.ts'
import { type FaultHome, SIDECAR_JS, until } from './home.ts'

const JOIN_MS = 20_000

/** Starts the sidecar as a client's hook does: its standard output is a socket that ends with the client. */
const CLIENT = `
import { spawn } from 'node:child_process'
const dir = process.env.MESH_HOME + '/run/cc-' + process.pid
spawn(process.execPath, [...process.argv.slice(3), process.argv[2], 'claude-code', dir], { stdio: ['ignore', 'pipe', 'ignore'] })
setInterval(() => {}, 60_000)
`

export interface FaultSession {
  name: string
  key: string
  client: ChildProcess
  sidecarPid: number
}

/** Resolves once the session has its name. `flags`: its sidecar's Node's. */
export async function startSession(
  mesh: FaultHome,
  name: string,
  flags: readonly string[] = [],
): Promise<FaultSession> {
  const program = join(mesh.work, 'client.mjs')
  writeFileSync(program, CLIENT)
  const client = mesh.start(program, [SIDECAR_JS, ...flags], { MESH_NAME: name })
  const key = `cc-${client.pid}`
  const record = await until(() => readRecord(mesh.home, key), JOIN_MS, `${name} to join`)
  return { name: record.name, key, client, sidecarPid: record.sidecar.pid }
}

/** kill -9 of client and sidecar at once. */
export function killSession({ client, sidecarPid }: FaultSession): void {
  process.kill(sidecarPid, 'SIGKILL')
  client.kill('SIGKILL')
}
