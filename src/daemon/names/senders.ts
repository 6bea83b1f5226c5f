/**
 * Looks up who a message is from: a signature proves the member alone, the record of the name says whose the name is, and
 * whether a person or an agent has it.
 */
import { BoundedMap } from '../../core/bounded-map.ts'
import { isShell } from '../../core/names/kinds.ts'
import { ownsName } from '../../core/names/senders.ts'
import { LOCAL_MEMBER } from '../../link/keys.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import type { Session } from '../session.ts'
import { holderOf } from './registry.ts'

/** Number of senders remembered. */
const KNOWN = 1000

type From = Envelope['from']

export class Senders {
  readonly #session: Pick<Session, 'link'>
  /** The client of each sender whose name is its member's; empty if that is not known. */
  readonly #kinds = new BoundedMap<string, string>(KNOWN)

  constructor(session: Pick<Session, 'link'>) {
    this.#session = session
  }

  /** Looks up a sender, so that the questions below are answered at once. */
  async know(from: From): Promise<void> {
    const key = keyOf(from)
    if (this.#kinds.has(key)) return
    const record = await holderOf(this.#session.link.store, from.name)
    if (!ownsName(from, record, LOCAL_MEMBER)) return
    this.#kinds.set(key, record?.member === from.member ? record.harness : '')
  }

  /** Returns true if the name is the member's that signed. Call `know` first. */
  owns(from: From): boolean {
    return this.#kinds.has(keyOf(from))
  }

  /** Returns true for a person at a shell. Call `know` first. */
  isPerson(from: From, verified: boolean): boolean {
    return verified && isShell(this.#kinds.get(keyOf(from)))
  }
}

function keyOf({ member, name, epoch }: From): string {
  return `${member}/${name}/${epoch}`
}
