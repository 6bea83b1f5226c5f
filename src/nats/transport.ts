/** The NATS client's connection over TCP, which says nothing before the server has proven itself. */
import type { Socket } from 'node:net'
import { type ConnectionOptions, NatsConnectionImpl, setTransportFactory } from 'nats'
import { NodeTransport, nodeResolveHost } from 'nats/lib/node_transport.js'

/** Resolves if the process at the other end is the server that was meant, else throws. */
export type Prove = (socket: Socket) => Promise<void>

/** The client copies its options with all that it does not know, and gives them to its transport. */
interface ProvenOptions extends ConnectionOptions {
  prove: Prove
}

class ProvenTransport extends NodeTransport {
  /** No byte was read or written when this returns. */
  override async dial(address: { hostname: string; port: number }): Promise<Socket> {
    const socket = await super.dial(address)
    let broken: Error | null = null
    const onError = (error: Error) => {
      broken = error
    }
    socket.on('error', onError)
    try {
      await (this.options as ProvenOptions).prove(socket)
      if (broken) throw broken
    } catch (error) {
      socket.destroy()
      throw error
    }
    socket.off('error', onError)
    return socket
  }
}

/** As the client's own `connect`. */
export function connectProven(options: ProvenOptions): ReturnType<typeof NatsConnectionImpl.connect> {
  setTransportFactory({ factory: () => new ProvenTransport(), dnsResolveFn: nodeResolveHost })
  return NatsConnectionImpl.connect(options)
}
