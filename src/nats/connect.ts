/** Connects to the engine with credentials, and notices when the connection is over. */
import type { Authenticator, NatsConnection } from 'nats'
import { MeshError } from '../errors.ts'
import { toMeshError } from './errors.ts'
import { connectProven, type Prove } from './transport.ts'

export interface EngineUser {
  publicKey: string
  /** Throws unless the engine is at the other end. Until it has returned, no byte is written. */
  prove: Prove
  /** Signs the server's nonce; the secret never crosses the wire. */
  sign(nonce: Uint8Array): Uint8Array
}

export interface ConnectOptions {
  url: string
  user: EngineUser
  /** Shown by the engine's monitoring. */
  name: string
}

export type { NatsConnection }

const CONNECT_TIMEOUT_MS = 2000
/** Two missed pings are a dead link: noticed within 20 s. The default is two minutes. */
const PING_INTERVAL_MS = 10_000

/**
 * Connects, or throws `mesh_down`. A connection that breaks is closed, and with it everything that waits on it: the
 * library's own reconnect would leave calls of the old connection hanging until they time out.
 */
export async function connectEngine(options: ConnectOptions, onClosed: () => void): Promise<NatsConnection> {
  const authenticator: Authenticator = (nonce?: string) => ({
    nkey: options.user.publicKey,
    sig: Buffer.from(options.user.sign(Buffer.from(nonce ?? ''))).toString('base64url'),
  })
  try {
    const nc = await connectProven({
      servers: options.url,
      prove: options.user.prove,
      authenticator,
      name: options.name,
      timeout: CONNECT_TIMEOUT_MS,
      reconnect: false,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: 2,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
    })
    const calls = new Set<() => void>()
    underway.set(nc, calls)
    void nc.closed().then(() => {
      for (const fail of calls) fail()
      onClosed()
    })
    return nc
  } catch (error) {
    throw toMeshError(error)
  }
}

/** Calls that wait for an answer, per connection: a race with `nc.closed()` would keep every one of them for its life. */
const underway = new WeakMap<NatsConnection, Set<() => void>>()

/**
 * Settles as `call` does, and throws `mesh_down` when the connection ends before: a flush and a batch of direct gets of
 * nats-core 3.4.0 would wait for ever.
 */
export function whileOpen<T>(nc: NatsConnection, call: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new MeshError('mesh_down', 'the engine went away'))
    const calls = underway.get(nc)
    calls?.add(fail)
    if (nc.isClosed()) fail()
    call.then(resolve, reject).finally(() => calls?.delete(fail))
  })
}
