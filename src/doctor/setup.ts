/** The set-up under examination: where it is, and looks at it that several checks share. Looking changes nothing. */
import type { Sidecar } from '../client/sidecar.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import { ownProcesses, type ProcessInfo } from '../host/process/list.ts'
import { readRepository } from '../host/repository/git.ts'
import { type EngineLook, lookAtEngine } from './look/engine.ts'
import { lookAtSessions, type SessionLook } from './look/session.ts'

export interface SetupOptions {
  env: Env
  cwd: string
  home: Home
  /** The operator's sidecar, which starts when it is called. Throws `bad_name` and what `resolvePlace` throws. */
  operator(): Sidecar
  /** Send a real message through the doors of living sessions: it starts turns. */
  wake: boolean
}

export class Setup {
  readonly options: SetupOptions
  readonly env: Env
  readonly home: Home
  /** The top directory of the repository that it is examined from; without one, the working directory. */
  readonly top: string
  readonly engine: () => Promise<EngineLook>
  readonly sessions: () => Promise<SessionLook[]>
  readonly processes: () => Promise<ProcessInfo[]>

  constructor(options: SetupOptions) {
    this.options = options
    this.env = options.env
    this.home = options.home
    this.top = readRepository(options.cwd)?.topLevel ?? options.cwd
    this.engine = once(() => lookAtEngine(this.home))
    this.sessions = once(() => lookAtSessions(this.home))
    this.processes = once(async () => ownProcesses())
  }

  /** Null where the name or the project of this place is not valid; another check says why. */
  operator(): Sidecar | null {
    try {
      return this.options.operator()
    } catch (error) {
      if (error instanceof MeshError) return null
      throw error
    }
  }
}

function once<T>(look: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= look()
    return result
  }
}
