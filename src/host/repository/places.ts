/** Remembers the project of each folder that mesh was used in: its remote, or its `.mesh.json`, may change. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readJson, writeAtomic } from '../files.ts'
import type { Home } from '../home.ts'

const PLACES_BYTES = 1024 * 1024
/** The folders that were seen last are kept. */
const MOST_PLACES = 1000

/**
 * Returns the project that the folder was in when it was last asked for, if that was another one; null otherwise. If the
 * caller says so to somebody, it is `project` from then on: a change is said once.
 */
export function changedProject(home: Home, worktree: string, project: string, isSaid = true): string | null {
  const places = readPlaces(home)
  const former = places.get(worktree)
  if (former === project || (former !== undefined && !isSaid)) return null
  places.delete(worktree)
  places.set(worktree, project)
  try {
    if (existsSync(home.root))
      writeAtomic(pathOf(home), JSON.stringify(Object.fromEntries([...places].slice(-MOST_PLACES))))
  } catch {
    // A disk that is full, or shut: it is said again.
  }
  return former ?? null
}

function readPlaces(home: Home): Map<string, string> {
  const value = readJson(pathOf(home), PLACES_BYTES)
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

function pathOf(home: Home): string {
  return join(home.root, 'places.json')
}
