/**
 * Decides which door the unread mail goes through and when: one hand-over in flight, settled on evidence only. Has
 * no text and performs nothing. Pure.
 */

import { causeWords } from '../../wire/cause.ts'
import type { Cause, SessionStatus } from '../../wire/envelope.schema.ts'
import { times } from '../../wire/limits.ts'

export interface DoorView {
  name: string
  reaches: readonly SessionStatus[]
  available: boolean
}

export interface InFlight {
  token: string
  door: string
  offeredAt: number
  /** When the client read it off the door; null until then. */
  receivedAt: number | null
  /** Since when the client keeps it back for its user to decide; null if it does not. */
  screenedAt: number | null
  /** The client has asked its user since. */
  asked: boolean
  /** When something showed that the client has it; null before. */
  handedAt: number | null
  /** Messages in it. */
  count: number
  /** One of them may start a turn. */
  wakes: boolean
  /** A turn that took it has ended with words of the model's. */
  isTurnOver: boolean
  /** No more fitted in. */
  isFull: boolean
}

export interface Situation {
  now: number
  status: SessionStatus
  /** What the session does or waits for, where that is known. */
  cause?: Cause | null
  /** Since when the session has that status. */
  statusSince: number
  /** Best first; `available`: open, and not given up on for a while. */
  doors: readonly DoorView[]
  /** Unread messages in no hand-over. */
  deliverable: number
  /** One of them may start a turn. The others are for a conversation before, or were in a turn already: they go with one. */
  wakes: boolean
  /** There is a text of mesh's own that starts no turn: it goes with mail, or alone with what turns there are. */
  hasAside: boolean
  inFlight: InFlight | null
  /** A waiting call is there for one of the messages in flight: it comes before every door. */
  isWanted: boolean
  /** Until then nothing may start a turn by itself: a person stopped one, and what they say next goes first. */
  floorUntil: number | null
}

export type Decision =
  | { do: 'nothing'; until: number | null }
  | { do: 'offer'; door: string }
  /** Take it back if nobody has taken it; then decide again. `why`: the offer failed. */
  | { do: 'withdraw'; why?: string }
  /** It is unread again. `certain`: it was not read; else it may have been, and is marked as a possible repeat. */
  | { do: 'expire'; why: string; certain: boolean }
  /** A turn took it and is over, and nothing proves that the model read it. It starts no turn again. */
  | { do: 'doubt'; why: string }
  /** The client kept it back and did not let it in: unread again, and not through that door for a good while. */
  | { do: 'refuse'; why: string }

/** A door whose offers can be taken back as long as nobody took them. */
const WITHDRAWABLE = new Set(['mod', 'hook', 'file-watch'])
/** Mail for a running turn lies there; an idle session is woken through it at once. */
const MOD = 'mod'
/** Starts no turn, and whatever starts one takes what lies there along. */
export const KEEPER = 'hook'
const DROPPED = 'the client did not take it: too much at once, or its settings keep messages out'
const UNPROVEN = 'handed, no transcript to prove it'
/** A door may open without any sign, as the inbox socket does when its budget is refilled. */
const DOOR_LOOK_MS = 2500

export function decide(situation: Situation): Decision {
  const { now, inFlight, deliverable } = situation
  if (inFlight) return decideInFlight(situation, inFlight)
  if (deliverable === 0 && !situation.hasAside) return { do: 'nothing', until: null }
  const door = bestDoor(situation)
  if (!door) return { do: 'nothing', until: situation.doors.length > 0 ? now + DOOR_LOOK_MS : null }
  return { do: 'offer', door: door.name }
}

/** The door that leads to the model soon, else the one that leads there with the next turn. */
function bestDoor(situation: Situation): DoorView | undefined {
  const keeper = situation.doors.find(({ name, available }) => name === KEEPER && available)
  if (hasFloor(situation) || !hasWaking(situation)) return keeper
  const { doors, status } = situation
  return doors.find(({ available, reaches }) => available && reaches.includes(status)) ?? keeper
}

function hasWaking({ wakes, inFlight }: Situation): boolean {
  return wakes || (inFlight?.wakes ?? false)
}

function hasFloor({ now, floorUntil }: Situation): boolean {
  return floorUntil !== null && now < floorUntil
}

function decideInFlight(situation: Situation, inFlight: InFlight): Decision {
  const { status, statusSince } = situation
  const { handedAt, screenedAt, door } = inFlight
  if (handedAt !== null) {
    // As long as the turn goes on, or a question to the person is open, it may still be read.
    if (status !== 'idle') return { do: 'nothing', until: null }
    const deadline = Math.max(handedAt, statusSince) + times.surfacedEvidence
    if (inFlight.isTurnOver) return atDeadline(situation, deadline, { do: 'doubt', why: UNPROVEN })
    return atDeadline(situation, deadline, { do: 'expire', why: 'the turn ended without it', certain: false })
  }
  if (screenedAt !== null) {
    // Nothing else is put before the person meanwhile.
    if (status === 'waiting') return { do: 'nothing', until: null }
    const why = inFlight.asked
      ? 'the person at the session did not let it in: denied, or not answered in time'
      : 'the client keeps it back and asks nobody'
    return atDeadline(situation, Math.max(screenedAt, statusSince) + times.screenedEvidence, { do: 'refuse', why })
  }
  return WITHDRAWABLE.has(door) ? decideUntaken(situation, inFlight) : decideUnseen(situation, inFlight)
}

function atDeadline({ now }: Situation, deadline: number, decision: Decision): Decision {
  return now < deadline ? { do: 'nothing', until: deadline } : decision
}

function decideUntaken(situation: Situation, inFlight: InFlight): Decision {
  if (inFlight.count === 0 && !situation.hasAside) return { do: 'withdraw' }
  // Either another way leads there sooner now, or more has come and goes with it.
  const door = keptAt(situation, inFlight) ?? bestDoor(situation)
  const grows = situation.deliverable > 0 && !inFlight.isFull
  if (door?.name !== inFlight.door || situation.isWanted || grows) return { do: 'withdraw' }
  if (door.name === MOD) return decideAtModule(situation, inFlight)
  if (door.name === KEEPER) return { do: 'nothing', until: keptUntil(situation, door) }
  const deadline = inFlight.offeredAt + times.takenEvidence
  return atDeadline(situation, deadline, { do: 'withdraw', why: 'no hook took it' })
}

/** What lies in the mail file when a prompt begins its turn stays: the prompt's own hook takes it in a moment. */
function keptAt({ doors, status }: Situation, { door }: InFlight): DoorView | undefined {
  return doors.find(({ name, available, reaches }) => {
    return name === KEEPER && door === name && available && reaches.includes(status)
  })
}

function decideAtModule(situation: Situation, { offeredAt }: InFlight): Decision {
  const { status, statusSince } = situation
  if (status !== 'idle') return { do: 'nothing', until: null }
  // It waited for a turn that is over now: it wakes the session.
  if (statusSince > offeredAt) return { do: 'withdraw' }
  const why = "mesh's module in the client does not answer"
  return atDeadline(situation, offeredAt + times.handedEvidence, { do: 'expire', why, certain: false })
}

/**
 * Returns true for a text that the client dropped. An idle client starts a turn with what it takes: if it has read it and has been idle since before, it dropped it, as it does
 * without a word when too much came at once. What it has not even read may be read yet.
 */
function decideUnseen(situation: Situation, { offeredAt, receivedAt }: InFlight): Decision {
  if (receivedAt === null) {
    const why = 'the client does not read what is sent to it'
    return atDeadline(situation, offeredAt + times.receivedEvidence, { do: 'expire', why, certain: false })
  }
  const certain = situation.status === 'idle' && situation.statusSince <= offeredAt
  const why = certain ? DROPPED : 'nothing shows that the client took it'
  return atDeadline(situation, receivedAt + times.handedEvidence, { do: 'expire', why, certain })
}

/** Returns when to look again for a door that leads there sooner. */
function keptUntil(situation: Situation, keeper: DoorView): number | null {
  if (hasFloor(situation)) return situation.floorUntil
  const isLast = keeper.reaches.includes(situation.status) || situation.doors.length === 1
  return isLast ? null : situation.now + DOOR_LOOK_MS
}

/** Says why unread mail waits, for the people who sent it; null if it is under way, or if the session has no doors at all. */
export function waitsFor(situation: Situation): string | null {
  const { status, inFlight, doors } = situation
  if (doors.length === 0) return null
  if (inFlight && (inFlight.handedAt !== null || (inFlight.screenedAt === null && !WITHDRAWABLE.has(inFlight.door))))
    return null
  if (status === 'waiting') return askedWhat(situation.cause)
  if (status === 'paused') return 'the process of the session is stopped'
  if (status === 'starting') return 'the session is starting'
  if (status === 'busy') return `${busyHow(situation.cause)} or at the end of the turn`
  if (hasFloor(situation)) return 'the user stopped the turn and has the floor'
  const door = bestDoor(situation)
  if (!hasWaking(situation)) return 'it starts no turn by itself: it goes in with the next prompt'
  if (door?.name === KEEPER)
    return 'nothing wakes the session now: it goes in with the next prompt, or as soon as something does'
  return door ? null : 'no door leads to the session now'
}

function askedWhat(cause: Cause | null | undefined): string {
  if (cause?.kind === 'question') return `the session asks its user something: ${cause.text}`
  if (cause?.kind === 'dialog' && cause.text) return `the session waits for its user (${cause.text})`
  const call = cause?.kind === 'permission' ? `: ${cause.tool}${cause.input ? `: ${cause.input}` : ''}` : ''
  return `the session asks its user something (a permission prompt)${call}`
}

/** A tool is not named: the reason of each would be one more. */
function busyHow(cause: Cause | null | undefined): string {
  if (cause?.kind === 'compacting') return 'the session is compacting its conversation: it goes in after that'
  const isBlocked = cause && ['session', 'run', 'message', 'task'].includes(cause.kind)
  if (isBlocked) return `the session ${causeWords(cause)}: it goes in after that`
  return 'the session is busy: it goes in after the running tool call'
}

/** Returns the pause after the n-th offer in a row that led nowhere (1-based), in milliseconds. */
export function backoff(failures: number): number {
  return Math.min(5000 * 2 ** Math.max(0, failures - 1), 60_000)
}
