import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { type MsgHdrs, headers as natsHeaders } from 'nats'
import { engineUser } from '../../../src/engine/nkey.ts'
import { memberKey } from '../../../src/link/keys.ts'
import { connectEngine, type NatsConnection } from '../../../src/nats/connect.ts'
import { ProjectStore } from '../../../src/nats/project-store.ts'
import { encodeEnvelope } from '../../../src/wire/codec.ts'
import type { Envelope } from '../../../src/wire/envelope.schema.ts'
import { newId, parseRecipient } from '../../../src/wire/names.ts'
import { messageSubject } from '../../../src/wire/subjects.ts'
import type { Place } from './world.ts'

interface Publishing {
  reply?: string
  msgId?: string
}

/** Somebody who holds the engine's credentials and the member's key, and no sidecar. */
export class Attacker {
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly store: ProjectStore
  readonly #place: Place

  private constructor(place: Place, nc: NatsConnection, jsm: JetStreamManager, store: ProjectStore) {
    this.#place = place
    this.nc = nc
    this.jsm = jsm
    this.store = store
  }

  static async connect(place: Place): Promise<Attacker> {
    const { world, name } = place
    const user = engineUser(world.home)
    const nc = await connectEngine({ url: world.url, user, name: 'attacker' }, () => {})
    return new Attacker(place, nc, await jetstreamManager(nc), await ProjectStore.open(nc, name))
  }

  /** An envelope as a sidecar would make it, unsigned. */
  envelope(from: string, to: string, over: Partial<Envelope> = {}): Envelope {
    return {
      v: 1,
      kind: 'message',
      id: newId('m'),
      project: this.#place.name,
      from: { member: 'local', name: from, epoch: 1 },
      to,
      seq: 1,
      sentAt: new Date().toISOString(),
      hops: 0,
      body: { text: 'hand-made' },
      ...over,
    }
  }

  /** The envelope with the member's true signature. */
  signed(from: string, to: string, over: Partial<Envelope> = {}): Uint8Array {
    return encodeEnvelope(this.envelope(from, to, over), memberKey(this.#place.world.home))
  }

  subject(from: string, to: string): string {
    return messageSubject(this.#place.name, parseRecipient(to), { member: 'local', name: from })
  }

  /** Publishes and waits until it is stored, unless the server's answer is to go elsewhere. */
  async publish(subject: string, data: Uint8Array | string, { reply, msgId }: Publishing = {}): Promise<void> {
    const headers: MsgHdrs | undefined = msgId === undefined ? undefined : natsHeaders()
    headers?.set('Nats-Msg-Id', msgId!)
    if (reply === undefined) await this.nc.request(subject, data, { timeout: 10_000, headers })
    else this.nc.publish(subject, data, { reply, headers })
    await this.nc.flush()
  }

  /** A good message from a session called `from`. */
  async say(to: string, text: string, from = 'crowd', over: Partial<Envelope> = {}): Promise<void> {
    await this.publish(this.subject(from, to), this.signed(from, to, { body: { text }, ...over }))
  }

  async close(): Promise<void> {
    await this.nc.close()
  }
}
