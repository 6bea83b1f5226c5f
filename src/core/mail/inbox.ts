/**
 * The mail of one name and what became of it: delivered → handed → surfaced. Rebuilt from journal lines, and
 * every change is such a line, so memory and disk cannot disagree. Knows nothing of doors, sockets or NATS. Pure.
 */
import type { Envelope, Surfaced } from '../../wire/envelope.schema.ts'
import { BoundedMap } from '../bounded-map.ts'
import { isAside } from './addresses.ts'
import { sizeOf } from './batch.ts'

export interface Entry {
  seq: number
  envelope: Envelope
  verified: boolean
  /** Milliseconds. */
  arrivedAt: number
  /** The hand-over it is part of, if one is in flight. */
  handover: string | null
  /** It may have been shown before. */
  repeat: boolean
  /** Kept from every door and waiting call until the people let its sender go on. */
  held: boolean
  /** Another name's mail, handed over: its position says nothing of this one's. */
  aside?: boolean
  /** A person at a shell sent it. */
  person?: boolean
  /** How often a turn took it and ended without any proof that the model read it. */
  unproven?: number
}
type Marks = Pick<Entry, 'repeat' | 'held' | 'aside' | 'person' | 'unproven'>

/** The part of a message that an answer to it needs. */
export type Origin = Pick<Envelope, 'id' | 'from' | 'thread' | 'hops'> & {
  /** Its position in the stream. */
  seq: number
}

/** A hand-over in flight: its token, where it went and when, milliseconds. */
export interface Offer {
  handover: string
  door: string
  at: number
}

const READER = 'h_'

/** The id of a hand-over to a caller that asks for messages and confirms them. A door's id is the token in its text. */
export function readerHandover(nonce: string): string {
  return `${READER}${nonce}`
}

/** A line of the journal. */
export type InboxStep =
  | ({ t: 'in'; seq: number; at: number; verified: boolean; envelope: Envelope } & Partial<Marks>)
  /** A position that needs no reading: undecodable, one's own, before one joined. */
  | { t: 'skip'; seq: number }
  | { t: 'handed'; handover: string; ids: string[]; door: string; at: number }
  /** The hand-over did not happen (`certain`), or nothing shows that it did. */
  | { t: 'back'; handover: string; certain: boolean }
  /** As `back`, after a turn that took it and ended without any proof that the model read it. */
  | { t: 'unproven'; handover: string }
  | { t: 'surfaced'; ids: string[]; at: number }
  /** Held messages that may go on. */
  | { t: 'released'; ids: string[] }
  /** A message that was read, and that its reader lost before an answer: unread again. */
  | { t: 'again'; seq: number; at: number; verified: boolean; envelope: Envelope; person?: boolean }
  /** A role's message that has another taker now. It was not read: it may come back. */
  | { t: 'dropped'; id: string }
  /** Messages read: a compacted journal. */
  | { t: 'known'; origins: Origin[] }
  /** The stream went back: positions mean nothing any more, ids do. */
  | { t: 'rewound' }

/** The position of a message that was in a stream before that went back. */
export const NOWHERE = 0
/** Messages remembered as read: they can be answered, and are not shown again when stored again at a new position. */
const KNOWN = 5000
/** Turns that may take a message and end without any proof: it is in the inbox after that, and goes through no door. */
const UNPROVEN = 2
/** Hand-overs remembered before those that are over are swept. */
const OFFERS = 64

export class Inbox {
  readonly #entries = new Map<string, Entry>()
  readonly #known = new BoundedMap<string, Origin>(KNOWN)
  readonly #offers = new Map<string, Offer>()
  #high = 0
  #bytes = 0

  /** Applies a step. Steps that make no sense (a message known already) change nothing. */
  apply(step: InboxStep): void {
    switch (step.t) {
      case 'in':
        this.#arrive(step)
        return
      case 'skip':
        this.#high = Math.max(this.#high, step.seq)
        return
      case 'handed':
        this.#hand(step)
        return
      case 'again':
        this.#known.delete(step.envelope.id)
        this.#arrive({ ...step, t: 'in', repeat: true })
        return
      case 'back':
        for (const entry of this.inHandover(step.handover)) {
          entry.handover = null
          entry.repeat ||= !step.certain
        }
        return
      case 'unproven':
        for (const entry of this.inHandover(step.handover)) {
          entry.handover = null
          entry.repeat = true
          entry.unproven = (entry.unproven ?? 0) + 1
        }
        return
      case 'surfaced':
        for (const entry of this.#all(step.ids)) {
          this.#remove(entry)
          this.#known.set(entry.envelope.id, originOf(entry))
        }
        return
      case 'released':
        for (const entry of this.#all(step.ids)) entry.held = false
        return
      case 'dropped':
        for (const entry of this.#all([step.id])) this.#remove(entry)
        return
      case 'known':
        for (const origin of step.origins) this.#known.set(origin.id, origin)
        return
      case 'rewound':
        this.#high = 0
        for (const one of [...this.#entries.values(), ...this.#known.values()]) one.seq = NOWHERE
    }
  }

  #hand({ handover, ids, door, at }: InboxStep & { t: 'handed' }): void {
    for (const entry of this.#all(ids)) entry.handover = handover
    this.#offers.set(handover, { handover, door, at })
    if (this.#offers.size < OFFERS) return
    const open = this.handovers()
    for (const one of this.#offers.keys()) if (!open.has(one)) this.#offers.delete(one)
  }

  #arrive(step: InboxStep & { t: 'in' }): void {
    const { id, to } = step.envelope
    // A role's message comes on another way, ahead of mail at earlier positions or long behind it.
    if (!isAside(to) && !step.aside) this.#high = Math.max(this.#high, step.seq)
    const known = this.#entries.get(id) ?? this.#known.get(id)
    if (known) {
      if (known.seq === NOWHERE) known.seq = step.seq
      return
    }
    const { seq, at, verified, envelope, repeat = false, held = false } = step
    this.#entries.set(id, { seq, envelope, verified, arrivedAt: at, handover: null, repeat, held, ...further(step) })
    this.#bytes += sizeOf(envelope)
  }

  #remove({ envelope }: Entry): void {
    this.#entries.delete(envelope.id)
    this.#bytes -= sizeOf(envelope)
  }

  /** True if the message is here or was read. */
  knows(id: string): boolean {
    return this.#entries.has(id) || this.#known.has(id)
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  /** Returns the origin of a message, read or not. */
  origin(id: string): Origin | undefined {
    const entry = this.#entries.get(id)
    return entry ? originOf(entry) : this.#known.get(id)
  }

  /** Ids that begin with `prefix`, read or not. */
  idsFrom(prefix: string): string[] {
    return [...this.#entries.keys(), ...this.#known.keys()].filter((id) => id.startsWith(prefix))
  }

  /** Unread messages, oldest first by position. */
  unread(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => a.seq - b.seq)
  }

  /** Unread messages that are in no hand-over, not held, and not given to turns too often, oldest first. */
  deliverable(): Entry[] {
    return this.unread().filter(({ handover, held, unproven = 0 }) => handover === null && !held && unproven < UNPROVEN)
  }

  /** Unread messages that are held, oldest first. */
  held(): Entry[] {
    return this.unread().filter((entry) => entry.held)
  }

  /**
   * Returns the messages for a reader: of those in no hand-over all but the ones behind an older one of the same sender to the
   * same recipient in one of the hand-overs `open`, which nobody has confirmed. If it comes again, it comes first.
   * Held ones only for a reader that asks for them.
   */
  inOrder(open: { has(handover: string): boolean }, withHeld: boolean): Entry[] {
    const blocked = new Set<string>()
    return this.unread().filter(({ handover, held, envelope: { from, to } }) => {
      const lane = `${from.member}/${from.name}/${to}`
      if (handover !== null && open.has(handover)) blocked.add(lane)
      return handover === null && !blocked.has(lane) && (withHeld || !held)
    })
  }

  inHandover(handover: string): Entry[] {
    return this.unread().filter((entry) => entry.handover === handover)
  }

  /** Hand-overs in flight. */
  handovers(): Set<string> {
    return new Set(this.unread().flatMap((entry) => entry.handover ?? []))
  }

  /** Hand-overs in flight with their doors, oldest first. */
  offers(): Offer[] {
    const open = this.handovers()
    return [...this.#offers.values()].filter(({ handover }) => open.has(handover))
  }

  /** Hand-overs in flight to callers. Their calls end with the process that answered them. */
  calls(): string[] {
    return [...this.handovers()].filter((handover) => handover.startsWith(READER))
  }

  get size(): number {
    return this.#entries.size
  }

  /** The message at the highest position, read or not; undefined if there is none. */
  get newest(): Origin | undefined {
    let newest: Origin | undefined
    const look = (one: Origin) => {
      if (one.seq > (newest?.seq ?? NOWHERE)) newest = one
    }
    this.#known.forEach(look)
    this.#entries.forEach((entry) => void look(originOf(entry)))
    return newest
  }

  /** UTF-8 bytes of unread texts, about. */
  get bytes(): number {
    return this.#bytes
  }

  /** The highest position of mail seen; roles are no part of it. */
  get high(): number {
    return this.#high
  }

  /** Returns the positions that were read, for the surfaced record. Role messages are settled by their takers record instead. */
  position(epoch: number): Surfaced {
    const unread = this.unread().filter(({ envelope, aside }) => !isAside(envelope.to) && !aside)
    return { v: 1, kind: 'surfaced', epoch, high: this.#high, unread: unread.map(({ seq }) => seq) }
  }

  /** The shortest list of steps that rebuilds this inbox, for a compacted journal. */
  steps(): InboxStep[] {
    const steps: InboxStep[] = [
      { t: 'skip', seq: this.#high },
      { t: 'known', origins: [...this.#known.values()] },
    ]
    for (const entry of this.unread()) {
      const { seq, envelope, verified, arrivedAt, repeat, held } = entry
      const marks = { ...(repeat ? { repeat } : {}), ...(held ? { held } : {}), ...further(entry) }
      steps.push({ t: 'in', seq, at: arrivedAt, verified, envelope, ...marks })
    }
    for (const offer of this.offers()) {
      const ids = this.inHandover(offer.handover).map(({ envelope }) => envelope.id)
      steps.push({ t: 'handed', ids, ...offer })
    }
    return steps
  }

  #all(ids: readonly string[]): Entry[] {
    return ids.map((id) => this.#entries.get(id)).filter((entry) => entry !== undefined)
  }
}

/** The marks that most messages do not have. */
function further({ aside, person, unproven }: Partial<Marks>) {
  return { ...(aside ? { aside } : {}), ...(person ? { person } : {}), ...(unproven ? { unproven } : {}) }
}

function originOf({ seq, envelope: { id, from, thread, hops } }: Entry): Origin {
  return { id, from, hops, seq, ...(thread === undefined ? {} : { thread }) }
}
