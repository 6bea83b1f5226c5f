import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Env, type Home, meshHome } from '../../../src/host/home.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import type { World } from './world.ts'

/** Another machine of the same member. */
export class Machine {
  readonly home: Home
  readonly env: Env = { PATH: '' }
  readonly cable: Cable

  private constructor(home: Home, cable: Cable) {
    this.home = home
    this.cable = cable
  }

  static async make(world: World): Promise<Machine> {
    const dir = world.directory()
    const cable = await Cable.lay(Number(new URL(world.url).port))
    const home = { ...meshHome({ MESH_HOME: dir }), memberKey: world.home.memberKey }
    mkdirSync(home.engine, { mode: 0o700 })
    const record = JSON.parse(readFileSync(join(world.home.engine, 'engine.json'), 'utf8'))
    // Where that machine connects to is this process, at the cable's end.
    const near = { ...record, ...identifyProcess(process.pid), port: cable.port }
    writeFileSync(join(home.engine, 'engine.json'), JSON.stringify(near))
    copyFileSync(join(world.home.engine, 'user.key'), join(home.engine, 'user.key'))
    return new Machine(home, cable)
  }

  close(): void {
    this.cable.close()
  }
}

/** A line to the engine that can be cut and mended. */
export class Cable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isCut = false
  /** Bytes from this machine to the engine. */
  sent = 0

  private constructor(to: number) {
    this.#server = createServer((near) => {
      if (this.#isCut) return void near.destroy()
      const far = dial(to, '127.0.0.1')
      near.on('data', (chunk: Buffer) => {
        this.sent += chunk.length
      })
      for (const [a, b] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(a)
        a.on('error', () => {}).on('close', () => {
          this.#sockets.delete(a)
          b.destroy()
        })
        a.pipe(b)
      }
    })
  }

  static async lay(to: number): Promise<Cable> {
    const cable = new Cable(to)
    cable.#server.listen(0, '127.0.0.1')
    await once(cable.#server, 'listening')
    return cable
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#isCut = false
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}
