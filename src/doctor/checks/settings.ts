/** The settings of a person: everybody goes on with the defaults when they cannot be read. */
import { existsSync } from 'node:fs'
import { MeshError } from '../../errors.ts'
import { settingsPath, unknownSettings } from '../../host/settings.ts'
import { type Finding, fault, good, word } from '../finding.ts'
import type { Setup } from '../setup.ts'

export async function lookAtSettings({ home }: Setup): Promise<Finding[]> {
  const path = settingsPath(home)
  if (!existsSync(path)) return []
  try {
    const unknown = unknownSettings(home)
    if (unknown.length === 0) return [good('settings', path)]
    return [
      fault('settings.unknown', `${path}: there is no setting ${unknown.join(', ')}`, `\${EDITOR:-vi} ${word(path)}`),
    ]
  } catch (error) {
    const cause = `${MeshError.from(error).message}; all sessions use the defaults`
    return [fault('settings.value', cause, `\${EDITOR:-vi} ${word(path)}`)]
  }
}
