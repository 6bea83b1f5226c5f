/**
 * Remembers how far each stream of a project's store went, and what was found to be lost. All sidecars of this machine share
 * the file, so that a store that lost its tail is noticed by whoever connects first, and reported once.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isProject } from '../wire/subjects.ts'
import { ensurePrivateDir, readJson, writeAtomic } from './files.ts'
import type { Home } from './home.ts'
import { lock } from './lock.ts'

const BYTES = 256 * 1024
const LOCK_MS = 5000
/** Losses that are remembered; the oldest go first. */
const MOST = 50

/** How far a stream is known to have gone. */
export interface Mark {
  createdAt: string
  lastSeq: number
  /** Number of messages that the engine itself reported as damaged. */
  damaged: number
  /** Number of times that it lost records: what a process saw before is of no use after. */
  losses: number
}

export interface Loss {
  /** When it was noticed. */
  at: string
  /** A noun: the lost thing. */
  what: string
  /** The people were notified. */
  isReported: boolean
  /** `mesh doctor --fix` put it aside. */
  isSeen: boolean
}

export interface Damage {
  marks: Record<string, Mark>
  losses: Loss[]
}

function pathOf(home: Home, project: string): string {
  return join(home.projects, project, 'damage.json')
}

export function readDamage(home: Home, project: string): Damage {
  const stored = readJson(pathOf(home, project), BYTES) as Partial<Damage> | null | undefined
  const marks = Object.entries(isObject(stored?.marks) ? stored.marks : {}).filter(([, mark]) => isMark(mark))
  const losses: unknown[] = Array.isArray(stored?.losses) ? stored.losses : []
  return { marks: Object.fromEntries(marks), losses: losses.filter(isLoss) }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object'
}

function isMark(value: unknown): value is Mark {
  const isNumber = (field: unknown) => Number.isSafeInteger(field)
  if (!isObject(value) || typeof value.createdAt !== 'string') return false
  return isNumber(value.lastSeq) && isNumber(value.damaged) && isNumber(value.losses)
}

/** Returns the projects that have a directory in this mesh home. */
export function projectsOf({ projects }: Home): string[] {
  return existsSync(projects) ? readdirSync(projects).filter(isProject).sort() : []
}

function isLoss(value: unknown): value is Loss {
  return isObject(value) && typeof value.at === 'string' && typeof value.what === 'string'
}

/** Changes what is remembered, under a lock. Throws what `change` throws, `timeout`, `store_full`. */
export async function changeDamage(
  home: Home,
  project: string,
  change: (damage: Damage) => void | Promise<void>,
): Promise<Damage> {
  ensurePrivateDir(join(home.projects, project))
  const locked = await lock(`${pathOf(home, project)}.lock`, LOCK_MS)
  try {
    const damage = readDamage(home, project)
    await change(damage)
    damage.losses = damage.losses.slice(-MOST)
    writeAtomic(pathOf(home, project), JSON.stringify(damage))
    return damage
  } finally {
    locked.release()
  }
}
