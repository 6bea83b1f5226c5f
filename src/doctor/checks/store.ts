/** The store: its directory, the disk under it, its limit, what the server and the sidecars say of it. */
import { lstatSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { MIN_FREE_BYTES } from '../../engine/config.ts'
import { dataDir, logPath, storeUse } from '../../engine/record.ts'
import { changeDamage, projectsOf, readDamage } from '../../host/damage.ts'
import { type Finding, fault, good, word } from '../finding.ts'
import { serves } from '../look/engine.ts'
import { complaints, lastLines, parseEngineLog } from '../look/logs.ts'
import type { Setup } from '../setup.ts'
import { restart } from './engine.ts'

const MIB = 1024 * 1024
/** Above this share of its limit the store is as good as full. */
const FULL_SHARE = 0.95

export async function lookAtStore(setup: Setup): Promise<Finding[]> {
  const look = await setup.engine()
  const data = dataDir(setup.home)
  if (!look.record && !lstatSync(data, { throwIfNoEntry: false })) return []
  const isServing = serves(look)
  return [
    ...directory(setup, isServing),
    ...space(setup),
    ...limit(setup, isServing),
    ...(await streams(setup)),
    ...losses(setup),
    ...log(setup),
  ]
}

function directory(setup: Setup, isServing: boolean): Finding[] {
  const data = dataDir(setup.home)
  const stat = lstatSync(data, { throwIfNoEntry: false })
  if (stat?.isDirectory())
    return isServing && !lstatSync(join(data, 'jetstream'), { throwIfNoEntry: false }) ? [gone(setup)] : []
  if (!stat) return isServing ? [gone(setup)] : []
  return [fault('store.directory', `${data} is not a directory`, `mv ${word(data)} ${word(`${data}.bad`)}`)]
}

function gone(setup: Setup): Finding {
  const cause = `${dataDir(setup.home)} was removed under the running engine: nothing is stored on disk`
  return fault('store.gone', cause, 'mesh down && mesh up', () => restart(setup))
}

function space({ home }: Setup): Finding[] {
  const dir = lstatSync(dataDir(home), { throwIfNoEntry: false })?.isDirectory() ? dataDir(home) : home.root
  const { bavail, bsize } = statfsSync(dir)
  const free = bavail * bsize
  const detail = `${Math.floor(free / MIB)} MiB are free for ${dir}`
  if (free >= MIN_FREE_BYTES) return [good('store.space', detail)]
  return [fault('store.space', `${detail}, the engine needs ${MIN_FREE_BYTES / MIB}: free some`, `df -h ${word(dir)}`)]
}

/** The limit is set at each start, from what is free then. */
function limit(setup: Setup, isServing: boolean): Finding[] {
  const { usedBytes, capBytes } = storeUse(setup.home)
  if (!isServing || capBytes === null) return []
  const detail = `${Math.ceil(usedBytes / MIB)} of ${Math.ceil(capBytes / MIB)} MiB are used`
  if (usedBytes < capBytes * FULL_SHARE) return [good('store.limit', detail)]
  return [fault('store.limit', `${detail}; a new start sets a new limit`, 'mesh down && mesh up', () => restart(setup))]
}

async function streams(setup: Setup): Promise<Finding[]> {
  const missing = (await setup.sessions()).flatMap(({ health }) => health?.engine?.missing ?? [])
  if (missing.length === 0) return []
  const cause = `the engine lacks ${[...new Set(missing)].join(', ')}; sidecars make them again when they connect`
  return [fault('store.streams', cause, 'mesh down && mesh up', () => restart(setup))]
}

/** Records that sidecars found to be lost, in any project of this mesh home. */
function losses({ home }: Setup): Finding[] {
  return projectsOf(home).flatMap((project) => {
    const lost = readDamage(home, project).losses.filter(({ isSeen }) => !isSeen)
    if (lost.length === 0) return []
    const times = [...new Set(lost.map(({ at }) => at))]
    const noticed = times.map((time) => {
      const things = lost.filter(({ at }) => at === time).map(({ what }) => what)
      return `${things.join(', ')}, noticed ${time}`
    })
    const cause = `project ${project} lost records: ${noticed.join('; ')}`
    const mend = async () => {
      await changeDamage(home, project, (damage) => {
        for (const loss of damage.losses) loss.isSeen = true
      })
      return `put the list aside: what is lost stays lost, unless you have a copy of ${dataDir(home)}`
    }
    return [fault('store.lost', cause, 'mesh doctor --fix', mend)]
  })
}

/** The server's words for a full disk, which is no damage: it logs errors and goes on. */
const NO_SPACE = /no space left|ENOSPC|insufficient (storage )?resources/i

/** The server logs damage once, when it starts; a full disk whenever it writes. */
function log(setup: Setup): Finding[] {
  const { home } = setup
  const found = complaints(parseEngineLog(lastLines(logPath(home))))
  const [first] = found
  if (!first) return []
  const others = found.length > 1 ? ` (and ${found.length - 1} more)` : ''
  if (found.every(({ text }) => NO_SPACE.test(text))) {
    const cause = `the disk was full: ${first.text}${others}; nothing acknowledged is lost, a new start goes on`
    return [fault('store.log', cause, 'mesh down && mesh up', () => restart(setup))]
  }
  const aside = `${dataDir(home)}.damaged`
  const command = `mesh down && mv ${word(dataDir(home))} ${word(aside)} && mesh up`
  return [fault('store.log', `the server says: ${first.text}${others}; to go on with an empty store:`, command)]
}
