/** The wall clock against those of the engine and of the sidecars. */
import { type Finding, fault, good } from '../finding.ts'
import type { SessionLook } from '../look/session.ts'
import type { Setup } from '../setup.ts'

/** Leases, ages and orders of mesh bear this much; a call between processes takes far less. */
const SKEW_MS = 5000

export async function lookAtClock(setup: Setup): Promise<Finding[]> {
  const sessions = (await setup.sessions()).filter(({ health }) => health)
  const worst = sessions.flatMap(skews).sort((a, b) => Math.abs(b.ms) - Math.abs(a.ms))[0]
  if (!worst) return []
  const detail = `${worst.whose} clock is ${Math.abs(worst.ms / 1000).toFixed(1)} s ${worst.ms < 0 ? 'behind' : 'ahead of'} this one`
  if (Math.abs(worst.ms) < SKEW_MS) return [good('clock.engine', detail)]
  return [fault('clock.engine', detail, 'timedatectl set-ntp true')]
}

function skews({ name, health, askedAt }: SessionLook): { whose: string; ms: number }[] {
  const { at, engine } = health!
  const own = { whose: `${name}'s`, ms: Date.parse(at) - askedAt }
  return engine?.at ? [{ whose: "the engine's", ms: Date.parse(engine.at) - askedAt }, own] : [own]
}
