/** One connection to the engine: credentials, reconnect policy, and what happens to it. */
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

export type LinkEvent = 'disconnect' | 'reconnect' | 'close'

const RECONNECT_WAIT_MS = 100
const RECONNECT_JITTER_MS = 50
const CONNECT_TIMEOUT_MS = 2000
/** Two missed pings are a dead link: noticed within 20 s. The default is two minutes. */
const PING_INTERVAL_MS = 10_000

/** Connects, or throws `mesh_down`. Afterwards it reconnects for ever; `onEvent` tells when. */
export async function connectEngine(
  options: ConnectOptions,
  onEvent: (event: LinkEvent) => void,
): Promise<NatsConnection> {
  const authenticator: Authenticator = (nonce?: string) => ({
    nkey: options.user.publicKey,
    sig: Buffer.from(options.user.sign(Buffer.from(nonce ?? ''))).toString('base64url'),
  })
  let nc: NatsConnection
  try {
    nc = await connect({
      servers: options.url,
      authenticator,
      name: options.name,
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: 2,
      ignoreClusterUpdates: true,
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
    })
  } catch (error) {
    throw toMeshError(error)
  }
  void follow(nc, onEvent)
  return nc
}

async function follow(nc: NatsConnection, onEvent: (event: LinkEvent) => void): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === 'disconnect' || status.type === 'reconnect' || status.type === 'close') onEvent(status.type)
  }
}
