/**
 * Resolves recipients to the sessions that read their mail. Keeps the records of names that are written to until the
 * engine shows a change, so that a message in a conversation costs no lookup.
 */

import { isOwned } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import { isAway } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { quote, type Recipient } from '../../wire/names.ts'
import { followName } from '../names/registry.ts'

/** Number of names whose changes are followed. */
const KEPT = 64

export class Recipients {
  /** Records by name; null while the first answer is under way. */
  readonly #kept = new Map<string, { record: NameRecord | null; forget(): void }>()
  #store: ProjectStore | null = null
  /** The last call by name. Later calls resolve later, also those answered from memory. */
  readonly #last = new Map<string, Promise<unknown>>()

  /**
   * Checks that a session reads the mail, with a note if that may take a while. Follows renames. `epoch`: that of the
   * name's present holder. `store`: null while the engine is away, when nothing is checked. `me`: the sender. Throws
   * `not_found`.
   */
  async resolve(
    store: ProjectStore | null,
    to: Recipient,
    me: string,
  ): Promise<{ to: Recipient; epoch?: number; note: { note?: string } }> {
    if (to.kind === 'role' && store) return { to, note: await takerNote(store, to.name, me).catch(() => ({})) }
    if (to.kind === 'topic' && store) return { to, note: await readerNote(store, to.name, me).catch(() => ({})) }
    if (to.kind !== 'session') return { to, note: {} }
    if (!store) return { to, ...this.#lastSeen(to.name), note: {} }
    const found = await this.#inTurn(to.name, this.#holderOf(store, to.name).catch(undefinedIfAway))
    if (found === undefined) return { to, ...this.#lastSeen(to.name), note: {} }
    if (!found) throw new MeshError('not_found', `there is no session ${quote(to.name)}`)
    const { name, state, reason, epoch } = found
    const notes = name === to.name ? [] : [`${to.name} is ${name} now`]
    if (!isOwned(found))
      notes.push(`${name} is ${state} (${reason ?? 'no reason known'}); the message waits for its return`)
    return { to: { kind: 'session', name }, epoch, note: notes.length > 0 ? { note: notes.join('; ') } : {} }
  }

  /** The holder of a name whom the sender knew before the engine went away. */
  #lastSeen(name: string): { epoch?: number } {
    const epoch = this.#kept.get(name)?.record?.epoch
    return epoch === undefined ? {} : { epoch }
  }

  /** Keeps the messages of one sender in order: a known recipient does not overtake one that is being looked up. */
  async #inTurn<Found>(name: string, looked: Promise<Found>): Promise<Found> {
    const before = this.#last.get(name)
    const turn = Promise.allSettled([before, looked])
    this.#last.set(name, turn)
    try {
      await before
      return await looked
    } finally {
      if (this.#last.get(name) === turn) this.#last.delete(name)
    }
  }

  #holderOf(store: ProjectStore, name: string): Promise<NameRecord | null> {
    // Another connection: changes before it were not seen.
    if (store !== this.#store) this.#forgetAll()
    this.#store = store
    return followName(name, async (one) => this.#kept.get(one)?.record ?? (await this.#ask(store, one)))
  }

  async #ask(store: ProjectStore, name: string): Promise<NameRecord | null> {
    const record = (await store.names.get(name))?.value ?? null
    // Names without a record are not kept: they are typing mistakes.
    if (record && !this.#kept.has(name)) void this.#keep(store, name).catch(() => this.#kept.get(name)?.forget())
    return record
  }

  /** Follows a record's changes, then reads it again, since a change in between would be missed. */
  async #keep(store: ProjectStore, name: string): Promise<void> {
    let stop = () => {}
    const kept = {
      record: null as NameRecord | null,
      forget: () => {
        stop()
        if (this.#kept.get(name) === kept) this.#kept.delete(name)
      },
    }
    this.#kept.set(name, kept)
    if (this.#kept.size > KEPT) this.#kept.values().next().value!.forget()
    stop = await store.names.watch(name, () => kept.forget())
    const record = (await store.names.get(name))?.value ?? null
    if (this.#kept.get(name) === kept) kept.record = record
    else stop()
  }

  #forgetAll(): void {
    for (const { forget } of this.#kept.values()) forget()
  }
}

/** Returns a note when no other session has the role. The message then waits, since a sender takes none of its own. */
async function takerNote(store: ProjectStore, role: string, me: string): Promise<{ note?: string }> {
  const records = (await store.names.all()).map(({ value }) => value)
  const takers = records.filter((record) => isOwned(record) && record.roles.includes(role))
  if (takers.some(({ name }) => name !== me)) return {}
  return {
    note: `nobody ${takers.length > 0 ? 'else ' : ''}has the role ${role} now; the message waits for one who does`,
  }
}

/** Returns a note when no other session reads the topic. Who joins it later reads from then on. */
async function readerNote(store: ProjectStore, topic: string, me: string): Promise<{ note?: string }> {
  const records = (await store.names.all()).map(({ value }) => value)
  const isReader = ({ name, topics, renamedTo }: NameRecord) =>
    name !== me && !renamedTo && topics.some((one) => one.name === topic)
  return records.some(isReader) ? {} : { note: `nobody reads the topic ${topic}; who joins it reads from then on` }
}

/** Returns undefined if the engine went away during the lookup: the message goes to the outbox unchecked. */
function undefinedIfAway(error: unknown): undefined {
  if (!isAway(error)) throw error
}
