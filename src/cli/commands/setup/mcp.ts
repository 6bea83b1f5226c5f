/** `mesh mcp`: an MCP server for a client that starts it. */
import type { Context } from '../../command.ts'

export async function run({ env, cwd, flags }: Context): Promise<undefined> {
  const { serveMcp } = await import('../../../mcp/server.ts')
  process.removeAllListeners('SIGINT')
  // Claude Code ends its servers so.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(0))
  await serveMcp(flags.as === undefined ? env : { ...env, MESH_NAME: flags.as }, cwd)
  process.exit(0)
}
