/** Sandboxes: the one around this command, which leaves nothing else to be looked at, and the one around models' shells. */
import { existsSync } from 'node:fs'
import { openSandbox, shutSandbox } from '../../harness/setup.ts'
import { isReadOnlyView, mayWrite, refusesSockets, sandboxName } from '../../host/sandbox.ts'
import { type Finding, fault, word } from '../finding.ts'
import type { Setup } from '../setup.ts'

/** Returns the fault of a command that a sandbox keeps from the mesh home; null if none does. */
export async function faultOfSandbox({ env, home }: Setup): Promise<Finding | null> {
  const isMute = await refusesSockets(home.root)
  const isShut =
    isReadOnlyView(home.root) || (sandboxName(env) !== null && existsSync(home.root) && !mayWrite(home.root))
  if (!isMute && !isShut) return null
  const what = isMute ? 'connecting to sidecars' : `writing ${home.root}`
  const cause = `${sandboxName(env) ?? 'a sandbox'} keeps this command from ${what}; nothing else can be judged from here`
  return fault(
    'sandbox.shell',
    `${cause}. What lets mesh through, in Claude Code’s settings: ${openSandbox(home)}`,
    '/sandbox',
  )
}

/** The sandbox of sessions that start in this folder. Their hooks and MCP servers run outside of it. */
export async function lookAtSandbox({ env, home, top }: Setup): Promise<Finding[]> {
  const shut = shutSandbox(env, home, top)
  if (!shut) return []
  const cause = `${shut.path} turns Claude Code’s sandbox on: sessions hear, but their models’ commands cannot reach mesh`
  const cure = `to let them through, merge ${openSandbox(home)}; the tools of mesh mcp work without`
  return [fault('sandbox.sessions', `${cause}; ${cure}`, `"\${EDITOR:-vi}" ${word(shut.path)}`)]
}
