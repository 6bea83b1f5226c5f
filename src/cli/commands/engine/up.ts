/** `mesh up`: start the engine, fetching it the first time. */
import { startEngine } from '../../../engine/engine.ts'
import type { Context } from '../../context.ts'

export async function run({ env, home, out }: Context): Promise<undefined> {
  const info = await startEngine(home, env, out.note)
  if (out.json) await out.value(info)
  else
    await out.line(`mesh is up: nats-server ${info.version}, process ${info.pid}, ${info.url}, data in ${info.dataDir}`)
}
