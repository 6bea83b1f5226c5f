/** `mesh install`: Claude Code's settings get our hooks. */
import { sidecarPath } from '../../client/spawn.ts'
import { installClaudeCode } from '../../harness/claude-code/install.ts'
import type { Context } from '../context.ts'

export async function run({ env, home, out }: Context): Promise<undefined> {
  const installed = installClaudeCode({ env, home, sidecarPath, nodePath: process.execPath })
  if (out.json) return void (await out.value(installed))
  const { settingsPath, changed } = installed
  const what = changed ? `mesh's hooks are in ${settingsPath}` : `mesh's hooks were in ${settingsPath} already`
  await out.line(`${what}; new Claude Code sessions join by themselves`)
}
