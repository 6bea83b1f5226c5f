/** Notifies the people of a session of theirs that was killed together with its sidecar. */
import { existsSync } from 'node:fs'
import type { SidecarRecord } from '../../api/sidecar-record.schema.ts'
import { writeAtomic } from '../../host/files.ts'
import { type Home, runDir } from '../../host/home.ts'
import { files, readSpec, readStop } from '../../run/dir.ts'

interface Notifier {
  home: Home
  notifyPeople(text: string): Promise<void>
}

/** One that another session started has an owner, who hears of it. */
export async function notifyOfKilled({ home, notifyPeople }: Notifier, record: SidecarRecord): Promise<void> {
  const { run, name, project, process } = record
  if (run === undefined) return
  const dir = runDir(home, run)
  const spec = readSpec(dir)
  if (!spec?.attended || readStop(dir) || existsSync(files.people(dir))) return
  const where = `process ${process.pid} in ${spec.cwd}, project ${project}`
  await notifyPeople(`The session "${name}" has ended: killed (${where}). Its mail waits.`)
  writeAtomic(files.people(dir), new Date().toISOString())
}
