/** Routes what a client shows of its session to the rooms concerned. */
import type { Conversation, HarnessEvents } from '../harness/types.ts'
import type { Cause, SessionStatus } from '../wire/envelope.schema.ts'
import type { SessionEnd } from '../wire/session-end.ts'
import type { Rooms } from './rooms.ts'

interface LivingSession extends Rooms {
  end(end: SessionEnd): Promise<void>
}

export function eventsOf(session: LivingSession): HarnessEvents {
  const { context, courier, runs, loops, edits, beginnings, trouble } = session
  return {
    status: (status, cause = null) => onStatus(session, status, cause),
    turnEnded: (turn) => {
      runs.session?.turnEnded(turn)
      if (turn.text) courier.turnEnded()
      context.onTurnEnded()
      trouble.turnEnded(turn)
    },
    conversation: (conversation) => onConversation(session, conversation),
    evidence: (token, state, evidence) => {
      if (!context.evidence(token, state)) courier.evidence(token, state, evidence)
    },
    interrupted: (is) => courier.interrupted(is),
    prompted: () => void loops.resume(null, 'a person said something there'),
    edited: (path) => edits.edited(path),
    ...runs.subagentEvents,
    doorsChanged: () => session.poke(),
    startMissed: () => beginnings.missed(),
    ended: (end) => void trouble.ended(end).then(() => session.end(end)),
  }
}

function onStatus(session: LivingSession, status: SessionStatus, cause: Cause | null): void {
  session.touch()
  session.doing.client = cause
  session.courier.status = status
  session.context.onStatus(status)
  session.runs.session?.status(status, cause)
}

/** Handles the beginning of a conversation. Resolves to the text for its model. */
function onConversation(session: LivingSession, conversation: Conversation): Promise<string> {
  const isCleared = conversation.source === 'clear' && conversation.sessionId !== session.sessionId
  session.naming.conversation = conversation
  session.runs.session?.conversation()
  if (isCleared) session.courier.forgotten()
  session.touch()
  return session.beginnings.text(conversation)
}
