/** The proof that whoever answers on the engine's port is the engine. Until it is there, nothing is said. */
import type { Socket } from 'node:net'
import { MeshError } from '../errors.ts'
import type { Home } from '../host/home.ts'
import { isPeer } from '../host/process/peer.ts'
import { readRecord, strayRecord } from './record.ts'

/** Resolves if the engine of `home` holds the other end of the connection; else throws `mesh_down`. */
export async function proveEngine(home: Home, socket: Socket): Promise<void> {
  const { remotePort } = socket
  for (const record of [readRecord(home), strayRecord(home)]) {
    if (record && record.port === remotePort && (await isPeer(socket, record))) return
  }
  throw new MeshError('mesh_down', `what answers on port ${remotePort} is not the engine`, {
    hint: 'mesh doctor shows what is wrong; mesh down, then mesh up takes another port',
  })
}
