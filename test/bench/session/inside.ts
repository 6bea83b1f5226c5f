/** Sidecars without a process and a socket of their own: the product's modules, wired as its own main does. */
import { join } from 'node:path'
import { answersOf } from '../../../src/daemon/handlers.ts'
import { Sidecar } from '../../../src/daemon/sidecar.ts'
import type { Answer, Call } from '../../../src/daemon/socket/call.ts'
import { createShell } from '../../../src/harness/shell.ts'
import { ensurePrivateDir } from '../../../src/host/files.ts'
import { type Home, meshHome, operatorKey, sessionDir } from '../../../src/host/home.ts'
import { openLog } from '../../../src/host/log.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { resolvePlace } from '../../../src/host/repository/project.ts'
import { defaultSettings } from '../../../src/host/settings.ts'

export interface Inside {
  sidecar: Sidecar
  answer: Answer
}

/** A caller that stays on the line and gets its answers. */
export const caller = (): Call => ({ signal: new AbortController().signal, onAnswered: (done) => done(true) })

/**
 * Joins as `name`, as agents' sessions do: without an operator's role. `home` may differ from the usual one in where
 * sessions keep their files. One process is one session: a second in it needs the identity of another.
 */
export async function openInside(
  name: string,
  as = identifyProcess(process.pid)!,
  home: Home = meshHome(process.env),
): Promise<Inside> {
  const { env } = process
  const place = resolvePlace(env, process.cwd(), home)
  const key = operatorKey(place.project, name)
  const logs = join(home.root, 'logs')
  for (const dir of [home.root, home.run, logs, sessionDir(home, key)]) ensurePrivateDir(dir)
  const { log } = openLog(join(logs, 'bench.log'), 'warn')
  const sidecar = new Sidecar({
    ...{ env, home, key, place, log, settings: defaultSettings },
    harness: { ...createShell(name, process.cwd()), kind: 'bench', process: as },
    desired: { name, explicit: true },
    version: '0.1.0',
    onEnd: () => {},
  })
  await sidecar.start()
  await sidecar.ready()
  return { sidecar, answer: answersOf(sidecar) }
}
