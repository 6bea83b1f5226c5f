/** `mesh uninstall`: our hooks leave Claude Code's settings. */
import { uninstallClaudeCode } from '../../harness/claude-code/install.ts'
import type { Context } from '../context.ts'

export async function run({ env, home, out }: Context): Promise<undefined> {
  const { settingsPath, changed } = uninstallClaudeCode({ env, home })
  if (out.json) return void (await out.value({ settingsPath, changed }))
  await out.line(changed ? `mesh's hooks are out of ${settingsPath}` : `${settingsPath} had no hooks of mesh`)
}
