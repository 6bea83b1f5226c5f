/** Gives a session another name: its mail and its files come along. */
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

/** Makes a change that, if it fails half-way, is completed by connecting anew. */
export async function completing(link: Pick<Link<ProjectStore>, 'reset'>, change: () => Promise<void>): Promise<void> {
  try {
    await change()
  } catch (error) {
    link.reset()
    throw error
  }
}

/** A former holder that is ending, or a neighbour that drains, lets go within this long. */
export const LOCK_MS = 3000

/** Locked by a name's owner for as long as it uses the name's directory. */
export function dirLock(dir: string): string {
  return join(dir, 'lock')
}

/** A second rename waits so long for mail to the name before that is still on its way. */
const CATCH_UP_MS = 3000
const LOOK_MS = 50

/** Only one former name is read: what came to the one before it has to be here when that one goes. */
export async function catchUp(store: ProjectStore, { formerly }: NameRecord, high: () => number): Promise<void> {
  const deadline = Date.now() + CATCH_UP_MS
  while (formerly && (await store.mailFrom(formerly.name, high() + 1)).length > 0) {
    const hint = 'mesh inbox shows it; then rename again'
    if (Date.now() > deadline) throw new MeshError('conflict', `${formerly.name} has unread mail left`, { hint })
    await sleep(LOOK_MS)
  }
}

/** Mail, files and the old name's way to the new one come along. Done again after a crash that cut it short. */
export async function adoptFormer(home: Home, store: ProjectStore, registry: Registry): Promise<void> {
  const { name, formerly, epoch } = registry.record
  if (!formerly) return
  const until = formerly.epoch ?? epoch
  await registry.leaveFormer(store, new Date().toISOString())
  const carried = await store.surfaced.get(formerly.name)
  const there = await store.surfaced.get(name)
  // What it had read under this name when it had it before is in what it carries.
  if (carried && carried.value.epoch <= until && (!there || there.value.epoch < epoch))
    await store.surfaced.update(name, { ...carried.value, epoch }, there?.revision ?? 0)
  await moveName(home, store.project, formerly.name, name)
  await store.deleteDurable(durableOf({ name: formerly.name, epoch: until }))
}

/** Mail to the former name that came after the rename is this session's as long as nobody else has that name. */
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
 * A renamed session takes its files along, once: what is there under the new name is its own by then. Under the lock,
 * which moves too: that of a neighbour who drains just then would lock the new name for as long as the neighbour lives.
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
