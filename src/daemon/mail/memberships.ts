/** Changes the topics that a session reads and the roles that it takes, and handles those operations. */
import type { Response } from '../../api/ops.schema.ts'
import { MeshError } from '../../errors.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { checkToken } from '../../wire/names.ts'
import type { Registry } from '../names/registry.ts'
import { completing } from '../names/rename.ts'
import type { Session } from '../session.ts'
import type { HandlersOf } from '../socket/call.ts'
import type { MailSession } from './session.ts'
import { opened } from './storage.ts'

interface MemberSession extends MailSession {
  readonly registry: Registry
}

export const membershipHandlers = {
  async topic_join(session, { topic }) {
    checkToken(topic, 'topic')
    await joinTopic(session, topic)
    return membersOf(session, 'topics', topic)
  },

  async topic_leave(session, { topic }) {
    checkToken(topic, 'topic')
    await changeMembership(session, (record) => {
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
    await addRole(session, role)
    return membersOf(session, 'roles', role)
  },

  async role_rm(session, { role }) {
    checkToken(role, 'role')
    await changeMembership(session, (record) => {
      if (!record.roles.includes(role)) throw new MeshError('not_found', `this session has no role ${role}`)
      return { ...record, roles: record.roles.filter((name) => name !== role) }
    })
    return membersOf(session, 'roles', role)
  },

  async role_list(session) {
    return allMembers(session, 'roles')
  },
} satisfies HandlersOf<MemberSession>

export async function addRole(session: MemberSession, role: string): Promise<void> {
  await changeMembership(session, (record) =>
    record.roles.includes(role) ? record : { ...record, roles: [...record.roles, role] },
  )
}

/** Changes topics or roles, and reads accordingly from then on. */
async function changeMembership(session: MemberSession, edit: (record: NameRecord) => NameRecord): Promise<void> {
  const { registry, link, roles, record: before } = session
  const record = await registry.change(link.store, edit)
  await completing(link, async () => {
    if (record.topics.length !== before.topics.length) await opened(session).read(link.store, record)
    if (record.roles.length !== before.roles.length) await roles.attach(link.store, record.roles)
  })
}

/** Reads a topic from now on. The reader is paused meanwhile, since what it passes would count as read. */
async function joinTopic(session: MemberSession, topic: string): Promise<void> {
  const { link, registry } = session
  const storage = opened(session)
  const { store } = link
  await completing(link, async () => {
    await storage.pause()
    const { lastSeq } = await store.messagesState()
    const record = await registry.change(store, (now) => joined(now, topic, lastSeq))
    await storage.read(store, record)
  })
}

function joined(record: NameRecord, topic: string, since: number): NameRecord {
  if (record.topics.some(({ name }) => name === topic)) return record
  if (record.topics.length >= limits.memberships) throw new MeshError('too_large', 'too many topics')
  return { ...record, topics: [...record.topics, { name: topic, since }] }
}

async function allMembers(session: Session, kind: 'topics' | 'roles'): Promise<Response<'topic_list'>> {
  const members = new Map<string, string[]>()
  for (const { value } of await session.names()) {
    const names = kind === 'roles' ? value.roles : value.topics.map(({ name }) => name)
    for (const name of names) members.set(name, [...(members.get(name) ?? []), value.name])
  }
  return [...members].sort().map(([name, holders]) => ({ name, members: holders.sort() }))
}

async function membersOf(session: Session, kind: 'topics' | 'roles', name: string): Promise<Response<'topic_join'>> {
  const all = await allMembers(session, kind)
  return all.find((one) => one.name === name) ?? { name, members: [] }
}
