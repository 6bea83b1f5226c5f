/** Mesh's module in Claude Code: which sessions have loaded it, and else why not. No fault of its own: there are other doors. */
import { whySwitchedOff, whyTooOld } from '../../harness/setup.ts'
import { type Finding, fault, good, offer } from '../finding.ts'
import type { SessionLook } from '../look/session.ts'
import type { Setup } from '../setup.ts'
import { clientVersion, inspect, isInstalled, refreshed } from './hooks.ts'

const CHECK = 'door.module'

export async function lookAtModule(setup: Setup): Promise<Finding[]> {
  const seen = inspect(setup)
  if (!isInstalled(seen)) return []
  const [sessions, version] = await Promise.all([setup.sessions(), clientVersion(setup.env)])
  const living = sessions.filter(({ key, health }) => key.startsWith('cc-') && health?.name)
  if (seen.module.state === 'other') {
    const cause = "mesh's module in the client is not the one of this version"
    return [fault(CHECK, cause, 'mesh install', () => refreshed(setup))]
  }
  const why = whySwitchedOff(setup.env) ?? (version === null ? null : whyTooOld(version))
  if (why !== null) return [good(CHECK, `not loaded: ${why}`)]
  if (seen.module.state === 'none') return [offer(CHECK, 'not installed: mesh install adds it, with claude on PATH')]
  const names = (loaded: boolean) => living.filter((session) => hasModule(session) === loaded).map(({ name }) => name)
  const [loaded, others] = [names(true), names(false)]
  const words = [
    loaded.length > 0 ? `loaded by ${loaded.join(', ')}` : 'installed',
    ...(others.length > 0
      ? [`not by ${others.join(', ')}: begun before it, without a turn of claude -p, or with --bare or --safe-mode`]
      : []),
  ]
  return [good(CHECK, words.join('; '))]
}

function hasModule({ health }: SessionLook): boolean {
  return health?.doors.some(({ name }) => name === 'mod') ?? false
}
