/** Keeps what the session does or waits for: what its client shows, and the calls inside it that wait. */
import type { Blocked } from '../../api/op.ts'
import type { Harness } from '../../harness/types.ts'
import { causeName, causeText } from '../../wire/cause.ts'
import type { Cause, SessionStatus } from '../../wire/envelope.schema.ts'

/** A call that is over by then is not shown: each change of what is shown is a heartbeat more. */
const BLOCKED_MS = 300
/** Tools that may be the call which waits: the client's shell with a mesh command, or mesh's own. */
const MESH_TOOL = /^mcp__\w*mesh/
const MESH_COMMAND = /\bmesh\b/

interface DoingSession {
  readonly harness: Pick<Harness, 'transcript'>
  readonly courier: { readonly status: SessionStatus }
  readonly presence: { changed(): void }
}

export class Doing {
  readonly #session: DoingSession
  /** Waiting calls, the oldest first. */
  readonly #blocked = new Set<Cause>()
  #client: Cause | null = null

  constructor(session: DoingSession) {
    this.#session = session
  }

  /** Takes what the client shows. */
  set client(cause: Cause | null) {
    this.#client = cause
    this.#session.presence.changed()
  }

  get cause(): Cause | null {
    const [blocked] = this.#blocked
    const client = this.#client
    if (!blocked || client?.kind === 'error') return client
    if (client === null || client.kind === 'shell') return this.#mayBeThinking ? null : blocked
    return isMesh(client) ? blocked : client
  }

  /** A busy client whose tools are seen, and that runs none: the call is one of an earlier turn, in the background. */
  get #mayBeThinking(): boolean {
    const { harness, courier } = this.#session
    return Boolean(harness.transcript) && courier.status === 'busy'
  }

  /** Shows what a call waits for, once it has waited for a moment, until the returned function is called. */
  wait(what: Blocked | null): () => void {
    if (what === null) return () => {}
    const { kind, name, run, text } = what
    const cause: Cause = {
      kind,
      since: new Date().toISOString(),
      ...(name === undefined ? {} : { name: causeName(name) }),
      ...(run === undefined ? {} : { run: causeName(run) }),
      ...(text === undefined ? {} : { text: causeText(text) }),
    }
    const timer = setTimeout(() => {
      this.#blocked.add(cause)
      this.#session.presence.changed()
    }, BLOCKED_MS)
    return () => {
      clearTimeout(timer)
      if (this.#blocked.delete(cause)) this.#session.presence.changed()
    }
  }
}

function isMesh({ kind, name = '', input = '' }: Cause): boolean {
  return kind === 'tool' && (MESH_TOOL.test(name) || MESH_COMMAND.test(input))
}
