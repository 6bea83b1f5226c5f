/** An operator's sidecar as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Op, Request, Response } from '../../../src/api/ops.schema.ts'
import { type CallOptions, call } from '../../../src/client/client.ts'
import { operatorKey, sessionDir, socketPath } from '../../../src/host/home.ts'
import { type Place, until } from './world.ts'

/** An operator's sidecar in a process of its own: it can be killed for real. */
export class SidecarProcess {
  readonly #place: Place
  readonly #name: string
  #child: ChildProcess | null = null

  constructor(place: Place, name: string) {
    this.#place = place
    this.#name = name
  }

  get socket(): string {
    const { world, name } = this.#place
    return socketPath(sessionDir(world.home, operatorKey(name, this.#name)))
  }

  async start(): Promise<void> {
    const { world, name } = this.#place
    const dir = sessionDir(world.home, operatorKey(name, this.#name))
    this.#child = spawn(process.execPath, [await world.program(), 'operator', dir], {
      cwd: world.home.root,
      env: { ...(world.env as Record<string, string>), MESH_PROJECT: name, MESH_NAME: this.#name },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const connected = () =>
      this.call('whoami', {}).then(
        (me) => me.connected,
        () => false,
      )
    await until(connected, `${this.#name} on the mesh`)
  }

  call<O extends Op>(op: O, body: Request<O>, options?: CallOptions): Promise<Response<O>> {
    return call(this.socket, op, body, options)
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  close(): Promise<void> {
    return this.kill()
  }
}
