/** What a person may set for all sessions of a mesh home: `settings.json` there. */
import { join } from 'node:path'
import * as z from 'zod/mini'
import { MeshError } from '../errors.ts'
import { readText } from '../host/files.ts'
import type { Home } from '../host/home.ts'

const SETTINGS_BYTES = 64 * 1024

/** A number, with what is said of any other value. */
function numberIn(least: number, most: number) {
  const message = `must be a number from ${least} to ${most}`
  return z.number(message).check(z.minimum(least, message), z.maximum(most, message))
}

const schema = z.object({
  /** How long messages wait after a person stopped a turn, unless the person says something before. */
  floorSeconds: z._default(numberIn(0, 3600), 30),
  /** How often two sessions may answer each other without a person. */
  loopRounds: z._default(numberIn(1, 10_000).check(z.multipleOf(1, 'must be a whole number')), 20),
  /** How long the claims on tasks of a session that ended wait for its return. */
  claimGraceSeconds: z._default(numberIn(0, 86_400), 60),
})
export type Settings = z.output<typeof schema>

export const defaultSettings: Settings = schema.parse({})

/** Unknown keys are ignored. Throws `bad_request` naming the file and the first thing that is wrong with it. */
export function readSettings(home: Home): Settings {
  const path = join(home.root, 'settings.json')
  const fault = (what: string) => {
    return new MeshError('bad_request', `${path}: ${what}`, { hint: 'mend it, or delete it for the defaults' })
  }
  let value: unknown
  try {
    value = JSON.parse(readText(path, SETTINGS_BYTES) ?? '{}')
  } catch (error) {
    throw fault(`not readable: ${(error as Error).message}`)
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw fault(issue!.path.length > 0 ? `${issue!.path.join('.')} ${issue!.message}` : 'must be a JSON object')
}
