/** `mesh claims`. */

import type { Context } from '../../context.ts'
import { claimLines } from './lines.ts'

export async function run({ args, cwd, out, sidecar }: Context): Promise<undefined> {
  const [path] = args
  const claims = await sidecar().call('claims', { cwd, ...(path === undefined ? {} : { path }) })
  if (out.json) await out.value(claims)
  else await out.line(claimLines(claims).join('\n'))
}
