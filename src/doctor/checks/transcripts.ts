/**
 * The file systems of the clients' transcripts: what cannot be written there proves nothing, and mail that a turn took is
 * offered once more.
 */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { transcriptFolders } from '../../harness/setup.ts'
import { type Finding, fault, good, word } from '../finding.ts'
import type { Setup } from '../setup.ts'

const KIB = 1024
/** Lines of one turn; a client that has less loses some. */
const LEAST_BYTES = 1024 * KIB

export async function lookAtTranscripts({ env, home }: Setup): Promise<Finding[]> {
  const folders = transcriptFolders(env, home).filter((dir) => existsSync(dir))
  const faults = folders.flatMap((dir) => faultOf(dir) ?? [])
  if (folders.length === 0 || faults.length > 0) return faults
  return [good('transcripts', `can be written in ${folders.join(', ')}`)]
}

const SO = 'so the client cannot prove what its model read, and mail may come twice'

function faultOf(dir: string): Finding | null {
  if (!statSync(dir).isDirectory())
    return fault('transcripts.directory', `${dir} is not a directory, ${SO}`, `mv ${word(dir)} ${word(`${dir}.bad`)}`)
  try {
    accessSync(dir, constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return fault('transcripts.write', `${dir} cannot be written (${code}), ${SO}`, `ls -ld ${word(dir)}`)
  }
  const { bavail, bsize, files, ffree } = statfsSync(dir)
  const free = bavail * bsize
  if (free >= LEAST_BYTES && (files === 0 || ffree > 0)) return null
  const room = free < LEAST_BYTES ? `${Math.floor(free / KIB)} KiB are` : 'no file more is'
  return fault('transcripts.space', `${room} free for ${dir}, ${SO}: free some`, `df -h ${word(dir)}`)
}
