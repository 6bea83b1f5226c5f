/** `mesh engine which`: the nats-server that mesh uses. */
import { findEngine } from '../../../engine/binary.ts'
import { MeshError } from '../../../errors.ts'
import type { Context } from '../../context.ts'

export async function run({ env, home, out }: Context): Promise<undefined> {
  const engine = findEngine(env, home)
  if (!engine)
    throw new MeshError('not_found', 'there is no nats-server yet', { hint: 'fetch it with: mesh engine install' })
  if (out.json) await out.value(engine)
  else await out.line(`${engine.path} ${engine.version} (from ${engine.source})`)
}
