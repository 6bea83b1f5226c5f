/** `mesh status`: whether the engine runs, and where. */
import { engineStatus } from '../../../engine/engine.ts'
import type { Context } from '../../context.ts'

export async function run({ home, out }: Context): Promise<undefined> {
  const info = engineStatus(home)
  if (out.json) return void (await out.value(info))
  const running = `mesh is up: nats-server ${info.version}, process ${info.pid}, ${info.url}, data in ${info.dataDir}`
  await out.line(info.running ? running : `mesh is down, data in ${info.dataDir}; start it with: mesh up`)
}
