/** The operations on names: who is there, what they are called, what they read and take. */

import { isShell } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { checkName, checkToken, quote } from '../../wire/names.ts'
import { type SessionEnd, sessionEnd } from '../../wire/session-end.ts'
import type { Session } from '../session.ts'
import type { HandlersOf } from '../socket/call.ts'
import { allMembers, membersOf } from './memberships.ts'

/** A session that can change what it is called and what it reads. */
interface NamedSession extends Session {
  joinTopic(store: ProjectStore, topic: string): Promise<void>
  addRole(store: ProjectStore, role: string): Promise<NameRecord>
  changeMembership(store: ProjectStore, edit: (record: NameRecord) => NameRecord): Promise<NameRecord>
  rename(store: ProjectStore, name: string): Promise<string>
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

  async topic_join(session, { topic }) {
    checkToken(topic, 'topic')
    await session.joinTopic(session.link.store, topic)
    return membersOf(session, 'topics', topic)
  },

  async topic_leave(session, { topic }) {
    checkToken(topic, 'topic')
    await session.changeMembership(session.link.store, (record) => {
      if (!record.topics.some(({ name }) => name === topic)) throw new MeshError('not_found', `not in topic ${topic}`)
      return { ...record, topics: record.topics.filter(({ name }) => name !== topic) }
    })
    return membersOf(session, 'topics', topic)
  },

  async topic_list(session) {
    return allMembers(session, 'topics')
  },

  async role_add(session, { role }) {
    checkToken(role, 'role')
    if (session.record.roles.length >= limits.memberships) throw new MeshError('too_large', 'too many roles')
    await session.addRole(session.link.store, role)
    return membersOf(session, 'roles', role)
  },

  async role_rm(session, { role }) {
    checkToken(role, 'role')
    await session.changeMembership(session.link.store, (record) => {
      if (!record.roles.includes(role)) throw new MeshError('not_found', `this session has no role ${role}`)
      return { ...record, roles: record.roles.filter((name) => name !== role) }
    })
    return membersOf(session, 'roles', role)
  },

  async role_list(session) {
    return allMembers(session, 'roles')
  },

  async rename(session, { name }, call) {
    checkName(name)
    // An operator's sidecar is found by its name: the next command starts one under the new name.
    if (isShell(session.harness.kind)) call.onAnswered((done) => done && void session.end(sessionEnd('renamed')))
    const previous = await session.rename(session.link.store, name)
    return { name, previous }
  },
} satisfies HandlersOf<NamedSession>
