/** Who reads which topic and takes which role, from the names records. */
import type { Response } from '../../api/ops.schema.ts'
import { MeshError } from '../../errors.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import type { Session } from '../session.ts'

export function joined(record: NameRecord, topic: string, since: number): NameRecord {
  if (record.topics.some(({ name }) => name === topic)) return record
  if (record.topics.length >= limits.memberships) throw new MeshError('too_large', 'too many topics')
  return { ...record, topics: [...record.topics, { name: topic, since }] }
}

export async function allMembers(session: Session, kind: 'topics' | 'roles'): Promise<Response<'topic_list'>> {
  const members = new Map<string, string[]>()
  for (const { value } of await session.link.store.names.all()) {
    const names = kind === 'roles' ? value.roles : value.topics.map(({ name }) => name)
    for (const name of names) members.set(name, [...(members.get(name) ?? []), value.name])
  }
  return [...members].sort().map(([name, holders]) => ({ name, members: holders.sort() }))
}

export async function membersOf(
  session: Session,
  kind: 'topics' | 'roles',
  name: string,
): Promise<Response<'topic_join'>> {
  const all = await allMembers(session, kind)
  return all.find((one) => one.name === name) ?? { name, members: [] }
}
