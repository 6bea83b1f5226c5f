/** `mesh release`. */
import type { Context } from '../../context.ts'
import { oneLine } from '../../input/units.ts'
import { misuse } from '../../parse.ts'

export async function run({ args, command, cwd, flags, out, sidecar }: Context): Promise<undefined> {
  if (args.length === 0 ? !flags.allClaims : flags.allClaims) throw misuse(command, 'name paths, or say --all')
  const which = flags.allClaims ? { all: true } : { paths: [...args] }
  const released = await sidecar().call('release', { cwd, ...which })
  if (out.json) await out.value(released)
  else await out.line(released.map(({ path }) => `${oneLine(path)} released`).join('\n') || 'you hold no claims here')
}
