/** Mirrors the names records of a project in this sidecar. */
import { join } from 'node:path'
import type { Home } from '../../host/home.ts'
import { Replica } from '../../link/replica.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'

export type Names = Replica<NameRecord>

export function openNames(home: Home, project: string, version: string): Names {
  return new Replica({ version, path: join(home.projects, project, 'names.json'), keeps: () => true })
}
