/** Lists a project that no session of this mesh home was ever in, for which none is made: there is nothing in it. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Op, Request, Response } from '../api/ops.schema.ts'
import { readJson } from '../host/files.ts'
import { type Home, runDir } from '../host/home.ts'
import { mayWrite } from '../host/sandbox.ts'

const MOST_RUNS = 500
const SPEC_BYTES = 2 * 1024 * 1024

type Nothing = { readonly [O in Op]?: Response<O> }

const nothing: Nothing = {
  ps: [],
  runs: [],
  run_events: { events: [], next: 1 },
  task_list: [],
  claims: [],
  topic_list: [],
  role_list: [],
  budget: [],
  state_show: { entries: [], notes: [], obligations: [] },
  state_read: { rev: 0, entries: [], notes: [] },
  state_history: [],
}
/** Fields of a request for one thing, which a sidecar judges. */
const PARTS = ['run', 'path', 'key', 'rev', 'waitMs'] as const

/** True if nobody ever joined the project, and nothing was run in it: runs need no session. */
export function isUnused(home: Home, project: string): boolean {
  return !existsSync(join(home.projects, project)) && !mayHaveRun(home, project) && mayBeMade(home.root)
}

/** Returns what a listing has to show in an unused project; undefined for all else. */
export function listNothing<O extends Op>(op: O, body: Request<O>): Response<O> | undefined {
  return PARTS.some((part) => part in body) ? undefined : (nothing as { [P in O]?: Response<P> })[op]
}

function mayHaveRun(home: Home, project: string): boolean {
  const ids = list(home.runs).filter((name) => name.startsWith('r_'))
  // It would take longer to look than to ask.
  if (ids.length > MOST_RUNS) return true
  return ids.some((id) => {
    const spec = readJson(join(runDir(home, id), 'spec.json'), SPEC_BYTES) as { project?: unknown } | undefined
    return spec === undefined || spec.project === project
  })
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

/** A mesh home that cannot be made or written is a fault, and not an empty one. */
function mayBeMade(path: string): boolean {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    return found ? found.isDirectory() && mayWrite(path) : mayBeMade(dirname(path))
  } catch {
    return false
  }
}
