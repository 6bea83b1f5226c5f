import type { NameRecord } from '../../../src/wire/envelope.schema.ts'
import { type Node, type Project, until } from '../../support/node.ts'

export const WORKTREE = '/home/dev/repo'

export async function recordOf(project: Project, name: string): Promise<NameRecord | null> {
  const { store } = await project.attacker()
  return (await store.names.get(name))?.value ?? null
}

/** Waits until so many messages are unread, without taking any. */
export async function arrived(node: Node, count: number): Promise<void> {
  await until(() => node.sidecar.unread === count, `${count} unread messages for ${node.name}`)
}

/** The sequence numbers that messages to `to` carry. */
export async function numbers(project: Project, to: string): Promise<number[]> {
  const { store } = await project.attacker()
  const { lastSeq } = await store.messagesState()
  const stored = await Promise.all(Array.from({ length: lastSeq }, (_, i) => store.messageAt(i + 1)))
  const envelopes = stored.filter((one) => one !== null).map(({ data }) => JSON.parse(Buffer.from(data).toString()))
  return envelopes.filter((envelope) => envelope.to === to).map(({ seq }) => seq)
}
