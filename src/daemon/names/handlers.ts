/** Handles the operations on names: who is there, and the name of this session. */
import { isShell } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import { checkName, quote } from '../../wire/names.ts'
import { type SessionEnd, sessionEnd } from '../../wire/session-end.ts'
import type { Session } from '../session.ts'
import type { HandlersOf } from '../socket/call.ts'

/** A session that can change what it is called. */
interface NamedSession extends Session {
  /** Takes another name. Resolves to the name before. */
  rename(name: string): Promise<string>
  end(how: SessionEnd): Promise<void>
}

export const nameHandlers = {
  async ps(session) {
    const sessions = await session.sessions()
    return sessions.sort((a, b) => (a.name < b.name ? -1 : 1))
  },

  async alive(session, { name }) {
    checkName(name)
    const peer = (await session.sessions()).find((one) => one.name === name)
    if (!peer) throw new MeshError('not_found', `there is no session ${quote(name)}`)
    return { ...peer, alive: !['unreachable', 'lost', 'gone'].includes(peer.status) }
  },

  async rename(session, { name }, call) {
    checkName(name)
    // An operator's sidecar is found by its name: the next command starts one under the new name.
    if (isShell(session.harness.kind)) call.onAnswered((done) => done && void session.end(sessionEnd('renamed')))
    const previous = await session.rename(name)
    return { name, previous }
  },
} satisfies HandlersOf<NamedSession>
