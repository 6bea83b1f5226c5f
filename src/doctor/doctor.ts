/** Runs the checks, each for itself, and mends what they say they can. */
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import { lookAtClock } from './checks/clock.ts'
import { lookAtDoors } from './checks/doors.ts'
import { lookAtEngine } from './checks/engine.ts'
import { lookAtFileSystem } from './checks/filesystem.ts'
import { faultOfHome } from './checks/home.ts'
import { lookAtHooks } from './checks/hooks.ts'
import { lookAtModule } from './checks/module.ts'
import { lookAtOrphans } from './checks/orphans.ts'
import { lookAtPermissions } from './checks/permissions.ts'
import { lookAtPlace } from './checks/place.ts'
import { faultOfSandbox, lookAtSandbox } from './checks/sandbox.ts'
import { lookAtSettings } from './checks/settings.ts'
import { lookAtSidecars } from './checks/sidecars.ts'
import { lookAtStore } from './checks/store.ts'
import { lookAtTranscripts } from './checks/transcripts.ts'
import { type Finding, fault } from './finding.ts'
import { Setup, type SetupOptions } from './setup.ts'

/** In the order in which findings are shown and mended: the engine needs its files, sidecars need the engine. */
const checks: readonly { subject: string; look(setup: Setup): Promise<Finding[]> }[] = [
  { subject: 'place', look: lookAtPlace },
  { subject: 'permissions', look: lookAtPermissions },
  { subject: 'settings', look: lookAtSettings },
  { subject: 'engine', look: lookAtEngine },
  { subject: 'store', look: lookAtStore },
  { subject: 'sidecars', look: lookAtSidecars },
  { subject: 'hooks', look: lookAtHooks },
  { subject: 'module', look: lookAtModule },
  { subject: 'sandbox', look: lookAtSandbox },
  { subject: 'transcripts', look: lookAtTranscripts },
  { subject: 'clock', look: lookAtClock },
  { subject: 'orphans', look: lookAtOrphans },
]
/** A mend can uncover the next fault: an engine that runs again shows which sidecars are dead. */
const ROUNDS = 5
/** A check that hangs is a finding, and keeps no other waiting. */
const CHECK_MS = 30_000
/** A session that is busy reads between two tool calls. */
const WAKE_MS = 180_000

export interface Mended {
  check: string
  detail: string
  /** The repair, or why it was not possible. */
  did: string
  ok: boolean
}

/** Looks at everything; changes nothing. `say` hears which subject is being looked at. */
export async function examine(options: SetupOptions, say: (subject: string) => void): Promise<Finding[]> {
  const setup = new Setup(options)
  const boxed = await faultOfSandbox(setup)
  if (boxed) return [boxed]
  // Nothing else can be seen, or be right, there.
  if (faultOfHome(setup)) return safely('place', CHECK_MS, () => lookAtPlace(setup))
  say('looking at files, engine, sessions and hooks')
  // Before the others: they walk through the folder that this makes.
  const base = await safely('home', CHECK_MS, () => lookAtFileSystem(setup))
  const looked = (
    await Promise.all(checks.map(({ subject, look }) => safely(subject, CHECK_MS, () => look(setup))))
  ).flat()
  const found = [...base, ...looked]
  say('sending a message through each door')
  const isSound = found.every(({ ok, check }) => ok || !/^(engine|store|sidecar|home|permissions)\b/.test(check))
  return [...found, ...(await safely('doors', options.wake ? WAKE_MS : CHECK_MS, () => lookAtDoors(setup, isSound)))]
}

/** A check that fails is a finding like any other. */
async function safely(subject: string, ms: number, look: () => Promise<Finding[]>): Promise<Finding[]> {
  const limit = new AbortController()
  const late = sleep(ms, undefined, { signal: limit.signal }).then(() => {
    throw new MeshError('timeout', `it did not finish within ${ms / 1000} s`)
  })
  try {
    return await Promise.race([look(), late])
  } catch (thrown) {
    const { message } = MeshError.from(thrown)
    return [fault(`${subject}.check`, `this check failed: ${message}`, 'mesh doctor')]
  } finally {
    late.catch(() => {})
    limit.abort()
  }
}

/** Mends what can be mended, looks again, and so on until nothing is left to do. */
export async function mend(
  options: SetupOptions,
  say: (subject: string) => void,
): Promise<{ findings: Finding[]; mended: Mended[] }> {
  const mended: Mended[] = []
  const tried = new Set<string>()
  let findings = await examine(options, say)
  for (let round = 0; round < ROUNDS; round++) {
    const curable = findings.filter((finding) => finding.mend && !tried.has(keyOf(finding)))
    if (curable.length === 0) break
    const done = new Set<string>()
    for (const finding of curable) {
      tried.add(keyOf(finding))
      // One command mends them all.
      if (done.has(finding.fix!)) continue
      done.add(finding.fix!)
      say(`mending ${finding.check}`)
      mended.push(await attempt(finding))
    }
    findings = await examine(options, say)
  }
  return { findings, mended }
}

function keyOf({ check, detail }: Finding): string {
  return `${check} ${detail}`
}

async function attempt({ check, detail, mend }: Finding): Promise<Mended> {
  try {
    return { check, detail, did: await mend!(), ok: true }
  } catch (error) {
    return { check, detail, did: MeshError.from(error).message, ok: false }
  }
}
