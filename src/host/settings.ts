/** Settings of a person for all sessions of a mesh home: `settings.json` there. */
import { join } from 'node:path'
import { MeshError } from '../errors.ts'
import { readText } from './files.ts'
import type { Home } from './home.ts'
import { INBOUND_RULE, type InboundSetting, readInbound } from './inbound.ts'

const SETTINGS_BYTES = 64 * 1024

interface Limits {
  least: number
  most: number
  unless: number
  whole?: true
}

const known = {
  /** Messages wait for this long after a person stopped a turn, unless the person says something before. */
  floorSeconds: { least: 0, most: 3600, unless: 30 },
  /** Rounds in which two sessions may answer each other without a person. */
  loopRounds: { least: 1, most: 10_000, unless: 20, whole: true },
  /** Leases on tasks of a session that ended wait for its return for this long. */
  claimGraceSeconds: { least: 0, most: 86_400, unless: 60 },
  /** Leases on tasks of a session that is lost, whose end was not seen, wait for its return for this long. */
  claimLostSeconds: { least: 0, most: 86_400, unless: 600 },
} as const satisfies Record<string, Limits>

/** Settings of earlier versions that a file may still have. */
const former = ['stateTokens']

type Numbers = Record<keyof typeof known, number>

export interface Settings extends Numbers {
  inbound: InboundSetting
}

const names = Object.keys(known) as (keyof Numbers)[]

const defaultNumbers = Object.fromEntries(names.map((name) => [name, known[name].unless])) as Numbers
export const defaultSettings: Settings = { ...defaultNumbers, inbound: {} }

/** Unknown keys are ignored. Throws `bad_request` naming the file and the first thing that is wrong with it. */
export function readSettings(home: Home): Settings {
  const path = settingsPath(home)
  const fault = (what: string) => {
    return new MeshError('bad_request', `${path}: ${what}`, { hint: 'mend it, or delete it for the defaults' })
  }
  const set = readObject(path, fault)
  const entries = names.map((name) => {
    const limits: Limits = known[name]
    const value = Object.hasOwn(set, name) ? set[name] : limits.unless
    const wrong = judge(value, limits)
    if (wrong) throw fault(`${name} ${wrong}`)
    return [name, value]
  })
  const inbound = readInbound(set.inbound ?? {})
  if (!inbound) throw fault(`inbound ${INBOUND_RULE}, or name one of them per project`)
  return { ...(Object.fromEntries(entries) as Numbers), inbound }
}

/** Keys that mean nothing: perhaps misspelled. Throws as `readSettings`. */
export function unknownSettings(home: Home): string[] {
  readSettings(home)
  const set = readObject(settingsPath(home), (what) => new MeshError('bad_request', what))
  return Object.keys(set).filter((key) => key !== 'inbound' && !Object.hasOwn(known, key) && !former.includes(key))
}

export function settingsPath(home: Home): string {
  return join(home.root, 'settings.json')
}

function readObject(path: string, fault: (what: string) => MeshError): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse((readText(path, SETTINGS_BYTES) ?? '{}').replace(/^\ufeff/, ''))
  } catch (error) {
    throw fault(`not readable: ${(error as Error).message}`)
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
  throw fault('must be a JSON object')
}

function judge(value: unknown, { least, most, whole }: Limits): string | null {
  const isIn = typeof value === 'number' && value >= least && value <= most
  if (!isIn) return `must be a number from ${least} to ${most}`
  return whole && !Number.isInteger(value) ? 'must be a whole number' : null
}
