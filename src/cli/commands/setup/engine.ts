/** `mesh up`, `mesh status` and `mesh engine`: the nats-server behind the mesh. */
import { findEngine } from '../../../engine/binary.ts'
import { askEngine, type EngineInfo, runEngineForeground, startEngine } from '../../../engine/engine.ts'
import { installEngine } from '../../../engine/fetch.ts'
import { MeshError } from '../../../errors.ts'
import type { Context } from '../../command.ts'
import type { Output } from '../../output.ts'

const DOWN = new MeshError('mesh_down', '').exit

/** Starts the engine, fetching it the first time. */
export async function up({ env, home, out }: Context): Promise<undefined> {
  const info = await startEngine(home, env, out.note, performance.timeOrigin)
  if (out.json) await out.value(info)
  else await out.line(upLine(info))
}

/** Exits as the error `mesh_down` does while it is down: scripts ask before they go on. */
export async function status({ home, out }: Context): Promise<number> {
  const info = await askEngine(home)
  if (out.json) await out.value(info)
  else await out.line(info.running ? upLine(info) : `mesh is down, data in ${info.dataDir}; start it with: mesh up`)
  return info.running ? 0 : DOWN
}

export async function which({ env, home, out }: Context): Promise<undefined> {
  const engine = findEngine(env, home)
  if (!engine)
    throw new MeshError('not_found', 'there is no nats-server yet', { hint: 'fetch it with: mesh engine install' })
  await printEngine(engine, out)
}

export async function install({ env, home, out }: Context): Promise<undefined> {
  await printEngine(await installEngine(home, env, out.note), out)
}

/** Runs the engine in the foreground, for a service manager. */
export async function foreground({ env, home, out }: Context): Promise<number> {
  return runEngineForeground(home, env, out.note)
}

async function printEngine(engine: { path: string; version: string; source: string }, out: Output): Promise<void> {
  if (out.json) await out.value(engine)
  else await out.line(`${engine.path} ${engine.version} (from ${engine.source})`)
}

function upLine({ version, pid, url, dataDir }: EngineInfo): string {
  return `mesh is up: nats-server ${version}, process ${pid}, ${url}, data in ${dataDir}`
}
