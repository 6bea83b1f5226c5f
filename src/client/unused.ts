/** Lists a project that no session of this mesh home was ever in, for which none is made: there is nothing in it. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Op, Request, Response } from '../api/ops.schema.ts'
import type { Home } from '../host/home.ts'
import { mayWrite } from '../host/sandbox.ts'

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

/** True if no name was ever joined to the project. Runs need no session: where there are some, it is not known. */
export function isUnused(home: Home, project: string): boolean {
  return !existsSync(join(home.projects, project)) && isEmpty(home.runs) && mayBeMade(home.root)
}

/** Returns what a listing has to show in an unused project; undefined for all else. */
export function listNothing<O extends Op>(op: O, body: Request<O>): Response<O> | undefined {
  return PARTS.some((part) => part in body) ? undefined : (nothing as { [P in O]?: Response<P> })[op]
}

function isEmpty(dir: string): boolean {
  try {
    return readdirSync(dir).length === 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
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
