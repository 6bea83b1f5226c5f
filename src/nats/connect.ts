/** One connection to the engine: credentials, and when it is over. */
import { type Authenticator, connect, type NatsConnection } from 'nats'
import { toMeshError } from './errors.ts'

/** Signs the server's nonce; the secret never crosses the wire. */
export interface EngineUser {
  publicKey: string
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
    const nc = await connect({
      servers: options.url,
      authenticator,
      name: options.name,
      timeout: CONNECT_TIMEOUT_MS,
      reconnect: false,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: 2,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
    })
    void nc.closed().then(onClosed)
    return nc
  } catch (error) {
    throw toMeshError(error)
  }
}
