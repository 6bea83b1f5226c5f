/** Sends the outboxes that dead sidecars of this machine left. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Outbox, type OutboxStep } from '../../core/mail/outbox.ts'
import { type Home, nameDir } from '../../host/home.ts'
import { Journal } from '../../host/journal.ts'
import { tryLock } from '../../host/lock.ts'
import type { Logger } from '../../host/log.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { isName } from '../../wire/names.ts'
import { removeLocked } from '../disk/session-dir.ts'
import { dirLock } from '../names/rename.ts'

/** Drains one name's outbox unless a live sidecar has it locked. Resolves to how many messages went out. */
export async function drainOutbox(home: Home, store: ProjectStore, name: string, log: Logger): Promise<number> {
  const dir = nameDir(home, store.project, name)
  if (!hasOutbox(dir)) return 0
  const locked = tryLock(dirLock(dir))
  if (!locked) return 0
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
    locked.release()
  }
}

/** The locked directory of a name that no sidecar uses. */
interface NameFiles {
  remove(): void
  release(): void
}

/** Locks the directory of a name. Returns null where there is none, or where a sidecar uses it. */
export function lockNameFiles(home: Home, project: string, name: string): NameFiles | null {
  const dir = nameDir(home, project, name)
  const lock = existsSync(dir) ? tryLock(dirLock(dir)) : null
  return lock && { remove: () => removeLocked(dir), release: () => lock.release() }
}

/** Drains the outboxes of all dead sidecars of this home and project. */
export async function drainAll(home: Home, store: ProjectStore, log: Logger): Promise<void> {
  const root = join(home.projects, store.project, 'names')
  const names = existsSync(root) ? readdirSync(root).filter(isName) : []
  for (const name of names) {
    // A directory that is being moved or removed must not keep the others waiting.
    await drainOutbox(home, store, name, log).catch((error) => log.warn({ error, name }, 'outbox not drained'))
  }
}

function hasOutbox(dir: string): boolean {
  return (statSync(join(dir, 'outbox.jsonl'), { throwIfNoEntry: false })?.size ?? 0) > 0
}

/** Returns the sender's member, the last but one token of a message subject. */
function memberOf(subject: string): string {
  return subject.split('.').at(-2)!
}
