/**
 * Decides which door the unread mail goes through and when: one hand-over in flight, settled on evidence only. Holds
 * no text and performs nothing. Pure.
 */
import type { SessionStatus } from '../wire/envelope.schema.ts'
import { times } from '../wire/limits.ts'

export interface DoorView {
  name: string
  reaches: readonly SessionStatus[]
  available: boolean
}

export interface InFlight {
  token: string
  door: string
  offeredAt: number
  /** When something showed that the client has it; null before. */
  handedAt: number | null
  /** Messages in it. */
  count: number
  /** No more fitted in. */
  isFull: boolean
}

export interface Situation {
  now: number
  status: SessionStatus
  /** Since when the session has that status. */
  statusSince: number
  doors: readonly DoorView[]
  /** Unread messages in no hand-over. */
  deliverable: number
  inFlight: InFlight | null
  /** A waiting call is there for one of the messages in flight: it comes before every door. */
  isWanted: boolean
  /** After offers that led nowhere nothing is tried before this time. */
  notBefore: number
  /** Until then nothing may start a turn by itself: a person stopped one, and what they say next goes first. */
  floorUntil: number | null
}

export type Decision =
  | { do: 'nothing'; until: number | null }
  | { do: 'offer'; door: string }
  /** Take it back if nobody has taken it; then decide again. `why`: the offer failed. */
  | { do: 'withdraw'; why?: string }
  /** Nothing shows that it was read: it is unread again, marked as a possible repeat. */
  | { do: 'expire'; why: string }

/** A door whose offers can be taken back as long as nobody took them. */
const WITHDRAWABLE = new Set(['hook', 'file-watch'])
/** Starts no turn, and whatever starts one takes what lies there along. */
const KEEPER = 'hook'
/** A door may open without any sign, as the inbox socket does when its budget is refilled. */
const DOOR_LOOK_MS = 2500

export function decide(situation: Situation): Decision {
  const { now, inFlight, deliverable, notBefore } = situation
  if (inFlight) return decideInFlight(situation, inFlight)
  if (deliverable === 0) return { do: 'nothing', until: null }
  const door = bestDoor(situation)
  if (!door) return { do: 'nothing', until: situation.doors.length > 0 ? now + DOOR_LOOK_MS : null }
  return now < notBefore ? { do: 'nothing', until: notBefore } : { do: 'offer', door: door.name }
}

/** The door that leads to the model soon, else the one that leads there with the next turn. */
function bestDoor(situation: Situation): DoorView | undefined {
  const keeper = situation.doors.find(({ name, available }) => name === KEEPER && available)
  if (hasFloor(situation)) return keeper
  const { doors, status } = situation
  return doors.find(({ available, reaches }) => available && reaches.includes(status)) ?? keeper
}

function hasFloor({ now, floorUntil }: Situation): boolean {
  return floorUntil !== null && now < floorUntil
}

function decideInFlight(situation: Situation, inFlight: InFlight): Decision {
  const { now, status, statusSince, deliverable } = situation
  if (inFlight.handedAt === null) {
    if (WITHDRAWABLE.has(inFlight.door)) {
      // Either another way leads there sooner now, or more has come and goes with it.
      const door = bestDoor(situation)
      const grows = deliverable > 0 && !inFlight.isFull
      if (door?.name !== inFlight.door || situation.isWanted || grows) return { do: 'withdraw' }
      if (door.name === KEEPER) return { do: 'nothing', until: keptUntil(situation, door) }
      const deadline = inFlight.offeredAt + times.takenEvidence
      return now < deadline ? { do: 'nothing', until: deadline } : { do: 'withdraw', why: 'no hook took it' }
    }
    const deadline = inFlight.offeredAt + times.handedEvidence
    return now < deadline ? { do: 'nothing', until: deadline } : { do: 'expire', why: 'the client did not take it' }
  }
  if (status !== 'idle') return { do: 'nothing', until: null }
  const deadline = Math.max(inFlight.handedAt, statusSince) + times.surfacedEvidence
  return now < deadline ? { do: 'nothing', until: deadline } : { do: 'expire', why: 'the turn ended without it' }
}

/** When to look whether another door leads there sooner. */
function keptUntil(situation: Situation, keeper: DoorView): number | null {
  if (hasFloor(situation)) return situation.floorUntil
  const isLast = keeper.reaches.includes(situation.status) || situation.doors.length === 1
  return isLast ? null : situation.now + DOOR_LOOK_MS
}

/** How long to wait after the n-th offer in a row that led nowhere (1-based), milliseconds. */
export function backoff(failures: number): number {
  return Math.min(5000 * 2 ** Math.max(0, failures - 1), 60_000)
}
