/** The real operators of the model suite, spoken to over their sockets. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Op, Request, Response } from '../../../src/api/ops.schema.ts'
import { call, Unreachable } from '../../../src/client/client.ts'
import { MeshError } from '../../../src/errors.ts'
import type { FaultHome } from './home.ts'

/** A role's message that was on its way to a killed sidecar comes again after the engine's 30 s. */
export const CEILING_MS = 60_000
const AGAIN_MS = 20

export class Operators {
  readonly mesh: FaultHome
  readonly #counts = new Map<string, number>()

  constructor(mesh: FaultHome) {
    this.mesh = mesh
  }

  /** Calls an operator as the mesh command would: brings its sidecar back, and asks again while the engine is away. */
  async ask<O extends Op>(name: string, op: O, body: Request<O>): Promise<Response<O>> {
    const deadline = performance.now() + CEILING_MS
    for (;;) {
      try {
        return await call(this.mesh.socketOf(name), op, body)
      } catch (error) {
        const { code } = MeshError.from(error)
        if (performance.now() > deadline || !['sidecar_down', 'mesh_down'].includes(code)) throw error
        this.count(code)
        if (error instanceof Unreachable) await this.mesh.run('whoami', '--as', name)
        else await sleep(AGAIN_MS)
      }
    }
  }

  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1)
  }

  get counted(): string {
    return [...this.#counts]
      .sort()
      .map(([what, n]) => `${what} ${n}`)
      .join(', ')
  }
}
