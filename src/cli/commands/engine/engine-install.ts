/** `mesh engine install`: fetch the pinned nats-server. */
import { installEngine } from '../../../engine/binary.ts'
import type { Context } from '../../context.ts'

export async function run({ env, home, out }: Context): Promise<undefined> {
  const engine = await installEngine(home, env, out.note)
  if (out.json) await out.value(engine)
  else await out.line(`${engine.path} ${engine.version} (from ${engine.source})`)
}
