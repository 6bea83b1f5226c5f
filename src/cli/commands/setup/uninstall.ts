/** `mesh uninstall`: mesh leaves Claude Code, wherever it was installed. */
import { MeshError } from '../../../errors.ts'
import { type Place, uninstallClaudeCode } from '../../../harness/setup.ts'
import type { Context } from '../../command.ts'
import { commandLine } from './install.ts'

const WORDS: Record<Place['did'], string> = {
  restored: 'is as it was before mesh',
  edited: 'has nothing of mesh any more, and the rest as it was',
  removed: 'is removed: mesh had made it',
  nothing: 'had nothing of mesh',
  failed: 'was left as it is',
}

export async function run({ env, home, cwd, out }: Context): Promise<undefined> {
  const { settingsPath, changed, places } = await uninstallClaudeCode({ env, home, cwd })
  const commands = [...new Set(places.flatMap((place) => (place.commands ?? []).map(commandLine)))]
  if (out.json) {
    await out.value({ settingsPath, changed, places: places.map(({ path, did }) => ({ path, did })), commands })
  } else {
    for (const { path, did } of places) await out.line(`${path} ${WORDS[did]}`)
    if (places.length === 0) await out.line(`${settingsPath} had nothing of mesh`)
    if (commands.length > 0) await out.line('the client still lists the plugin; to remove it there, type')
    for (const line of commands) await out.line(`  ${line}`)
  }
  const error = places.find((place) => place.error)?.error
  if (error) throw MeshError.fromBody(error)
}
