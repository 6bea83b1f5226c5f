/** Finds where the client writes its transcripts, which prove what a model has read. */
import { dirname, join } from 'node:path'
import type { Env, Home } from '../../../host/home.ts'
import { listInstalls } from './record.ts'
import { userSettings } from './settings-file.ts'

/** Returns the folders of transcripts of this user's configuration, and of those that mesh was installed in. */
export function transcriptFolders(env: Env, home: Home): string[] {
  const installed = listInstalls(home).flatMap(({ path, repository }) =>
    repository === undefined ? dirname(path) : [],
  )
  return [...new Set([dirname(userSettings(env).path), ...installed])].map((dir) => join(dir, 'projects'))
}
