/** Valid values of every sort, for unit tests to bend. The key is the committed TEST key: it signs nothing real. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Envelope, NameRecord, Presence, ProcessIdentity } from '../../src/wire/envelope.schema.ts'

const fixtures = new URL('../fixtures/', import.meta.url)

export function fixture(path: string): string {
  return readFileSync(new URL(path, fixtures), 'utf8')
}

export const testKey = createPrivateKey(fixture('golden/TEST-member-key.pem'))
const publicKey = createPublicKey(testKey)

export function keyOf(member: string): KeyObject | undefined {
  return member === 'local' ? publicKey : undefined
}

export const project = 'shop-1a2b3c4d'

/** Unsigned. Goes to `to`, from `local`'s session `api`. */
export function unsigned(over: Partial<Envelope> = {}): Omit<Envelope, 'sig'> {
  return {
    v: 1,
    kind: 'message',
    id: 'm_00112233445566778899aabbccddeeff',
    project,
    from: { member: 'local', name: 'api', epoch: 1 },
    to: 'web',
    seq: 1,
    sentAt: '2026-11-20T10:00:00.000Z',
    hops: 0,
    body: { text: 'hi' },
    ...over,
  }
}

export function identity(pid: number): ProcessIdentity {
  return { host: 'build-1', boot: 'b1', pid, start: `s${pid}` }
}

export function nameRecord(over: Partial<NameRecord> = {}): NameRecord {
  return {
    v: 1,
    kind: 'name',
    name: 'api',
    epoch: 1,
    member: 'local',
    session: 'session-1',
    process: identity(1),
    harness: 'claude-code',
    cwd: '/repo/api',
    worktree: '/repo',
    state: 'held',
    lastActivityAt: '2026-11-20T10:00:00.000Z',
    topics: [],
    roles: [],
    since: 0,
    ...over,
  }
}

export function presence(over: Partial<Presence> = {}): Presence {
  return {
    v: 1,
    kind: 'presence',
    name: 'api',
    epoch: 1,
    status: 'idle',
    lastActivityAt: '2026-11-20T10:05:00.000Z',
    doors: [],
    unread: 0,
    version: '0.1.0',
    ...over,
  }
}
