/** Renames a session: its mail and files come along. */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../../errors.ts'
import { type Home, nameDir } from '../../host/home.ts'
import { lock } from '../../host/lock.ts'
import type { Link } from '../../link/link.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Envelope, NameRecord } from '../../wire/envelope.schema.ts'
import { durableOf, type Registry } from './registry.ts'

/** Makes a change that a new connection completes if it fails half-way. */
export async function completing(link: Pick<Link<ProjectStore>, 'reset'>, change: () => Promise<void>): Promise<void> {
  try {
    await change()
  } catch (error) {
    link.reset()
    throw error
  }
}

/** Limits the wait for a former owner that is ending, or a neighbour that drains the name, to release the lock. */
export const LOCK_MS = 3000

/** Returns the path of the lock that a name's owner has while it uses the name's directory. */
export function dirLock(dir: string): string {
  return join(dir, 'lock')
}

/** Limits the wait of a second rename for mail to the former name that is still on its way. */
const CATCH_UP_MS = 3000
const LOOK_MS = 50

/**
 * Waits for mail to the former name. Only one former name is read, so its mail must be here before another rename.
 * Throws `conflict`.
 */
export async function catchUp(store: ProjectStore, { formerly }: NameRecord, high: () => number): Promise<void> {
  const deadline = Date.now() + CATCH_UP_MS
  while (formerly && (await store.mailFrom(formerly.name, high() + 1)).length > 0) {
    const hint = 'mesh inbox shows it; then rename again'
    if (Date.now() > deadline) throw new MeshError('conflict', `${formerly.name} has unread mail left`, { hint })
    await sleep(LOOK_MS)
  }
}

/**
 * Moves mail and files to the new name and makes the old one lead there. Runs again after a crash that interrupted it.
 */
export async function adoptFormer(home: Home, store: ProjectStore, registry: Registry): Promise<void> {
  const { name, formerly, epoch } = registry.record
  if (!formerly) return
  const until = formerly.epoch ?? epoch
  await registry.leaveFormer(store, new Date().toISOString())
  const carried = await store.surfaced.get(formerly.name)
  const there = await store.surfaced.get(name)
  // The carried record includes what it read under this name when it had it before.
  if (carried && carried.value.epoch <= until && (!there || there.value.epoch < epoch))
    await store.surfaced.update(name, { ...carried.value, epoch }, there?.revision ?? 0)
  await moveName(home, store.project, formerly.name, name)
  await store.deleteDurable(durableOf({ name: formerly.name, epoch: until }))
}

/** Returns true for mail to the former name that is this session's: any, until another session takes that name. */
export async function isForFormer(
  store: ProjectStore,
  { formerly }: NameRecord,
  { seq, envelope }: { seq: number; envelope: Envelope },
): Promise<boolean> {
  if (!formerly || envelope.to !== formerly.name) return false
  const holder = (await store.names.get(formerly.name))?.value
  return !holder || holder.renamedTo !== undefined || seq <= holder.since
}

/**
 * Moves the files of a renamed session, once: later files under the new name are its own. Takes the lock, which moves
 * too. A neighbour's, that drains just then, would otherwise lock the new name for as long as the neighbour lives.
 */
export async function moveName(home: Home, project: string, name: string, to: string): Promise<void> {
  const [from, target] = [nameDir(home, project, name), nameDir(home, project, to)]
  if (!existsSync(from) || existsSync(target)) return
  const taken = await lock(dirLock(from), LOCK_MS)
  if (existsSync(target)) return taken.release()
  try {
    renameSync(from, target)
  } catch (error) {
    taken.release()
    throw error
  }
  rmSync(dirLock(target), { force: true })
}
