/** Sends what a sidecar of this machine that is gone had promised to send. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Outbox, type OutboxStep } from '../core/outbox.ts'
import { type Home, nameDir } from '../host/home.ts'
import { tryLock } from '../host/lock.ts'
import type { ProjectStore } from '../nats/project-store.ts'
import { Journal } from './journal.ts'
import type { Logger } from './log.ts'

/** Held by a name's holder for as long as it uses the name's directory. */
export function dirLock(dir: string): string {
  return join(dir, 'lock')
}

/** Drains one name's outbox unless a live sidecar holds it. Resolves to how many messages went out. */
export async function drainOutbox(home: Home, store: ProjectStore, name: string, log: Logger): Promise<number> {
  const dir = nameDir(home, store.project, name)
  if (!hasOutbox(dir)) return 0
  const lock = tryLock(dirLock(dir))
  if (!lock) return 0
  let journal: Journal<OutboxStep> | null = null
  try {
    const opened = Journal.open<OutboxStep>(join(dir, 'outbox.jsonl'))
    journal = opened.journal
    const outbox = new Outbox()
    for (const step of opened.steps) outbox.apply(step)
    const waiting = outbox.waiting()
    for (const message of waiting) {
      const member = memberOf(message.subject)
      const { seq } = await store.publish(message.subject, message.bytes, `${member}.${message.id}`)
      journal.append([{ t: 'stored', id: message.id, position: seq, at: Date.now() }])
    }
    if (waiting.length > 0) log.info({ name, messages: waiting.length }, 'sent what a dead sidecar had queued')
    return waiting.length
  } finally {
    journal?.close()
    lock.release()
  }
}

/** Removes what a name's last holder kept here, once its outbox is drained; not what a live sidecar uses. */
export async function clearName(home: Home, store: ProjectStore, name: string, log: Logger): Promise<void> {
  const dir = nameDir(home, store.project, name)
  if (!existsSync(dir)) return
  await drainOutbox(home, store, name, log)
  const lock = tryLock(dirLock(dir))
  if (lock) rmSync(dir, { recursive: true, force: true })
  lock?.release()
}

/** Drains what any dead sidecar of this home and project left. */
export async function drainAll(home: Home, store: ProjectStore, log: Logger): Promise<void> {
  const root = join(home.projects, store.project, 'names')
  const names = existsSync(root) ? readdirSync(root) : []
  for (const name of names) await drainOutbox(home, store, name, log)
}

function hasOutbox(dir: string): boolean {
  return (statSync(join(dir, 'outbox.jsonl'), { throwIfNoEntry: false })?.size ?? 0) > 0
}

/** The last but one token of a message subject is the sender's member. */
function memberOf(subject: string): string {
  return subject.split('.').at(-2)!
}
