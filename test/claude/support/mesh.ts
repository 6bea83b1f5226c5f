/** `bin/mesh.js` as its users call it, in the home of a lab. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Lab, processesWith } from './client.ts'
import { eventually } from './eventually.ts'

/** The command under test; another build of it for comparisons. */
export const meshBin = process.env.MESH_TEST_BIN ?? fileURLToPath(new URL('../../../bin/mesh.js', import.meta.url))

export interface Session {
  name: string
  status: string
  harness: string
  pid: number
  unread: number
  wake: string[]
  endedAt?: string
  reason?: string
}

interface Step {
  state: string
  by: string
  evidence: string
}

export class Mesh {
  readonly #lab: Lab
  readonly #bin: string

  constructor(lab: Lab, bin = meshBin) {
    this.#lab = lab
    this.#bin = bin
  }

  /** Runs a mesh command to its end and gives what it printed. Throws with its error when it fails. */
  run(...args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const { env, project } = this.#lab
      const child = spawn(process.execPath, [this.#bin, ...args], {
        env,
        cwd: project,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let [out, err] = ['', '']
      child.stdout.on('data', (chunk) => {
        out += String(chunk)
      })
      child.stderr.on('data', (chunk) => {
        err += String(chunk)
      })
      child.once('close', (code) => {
        if (code === 0) resolve(out)
        else reject(new Error(`mesh ${args.join(' ')} ended with ${code}: ${err || out}`))
      })
    })
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.run(...args)) as T
  }

  ps(): Promise<Session[]> {
    return this.json('ps', '--json')
  }

  /** The session that a client's process is. */
  async sessionOf(pid: number): Promise<Session | undefined> {
    return (await this.ps()).find((session) => session.pid === pid)
  }

  /** Waits until the session of this process has the status. */
  reaches(pid: number, status: string): Promise<Session> {
    let seen: Session[] = []
    return eventually(
      () => `process ${pid} is ${status}, but: ${JSON.stringify(seen)}`,
      async () => {
        seen = await this.ps()
        // A process that took another name had one that is gone.
        return seen.find((one) => one.pid === pid && one.status === status)
      },
    )
  }

  /** Sends a message and returns its id, and when the command was started. */
  async send(to: string, text: string): Promise<{ id: string; at: number }> {
    const at = Date.now()
    const { id } = await this.json<{ id: string }>('send', to, '--json', '--', text)
    return { id, at }
  }

  async trace(id: string): Promise<Step[]> {
    return (await this.json<{ steps: Step[] }>('trace', id, '--json')).steps
  }

  /** Waits for a step of a message's way. */
  traced(id: string, state: string): Promise<Step> {
    let steps: Step[] = []
    return eventually(
      () => `${id} is ${state}, but: ${steps.map((step) => `${step.state} (${step.evidence})`).join(', ')}`,
      async () => {
        steps = await this.trace(id)
        return steps.find((step) => step.state === state)
      },
    )
  }

  /** Waits until the mail that the next hook will take holds all of `words`. */
  async waiting(pid: number, ...words: string[]): Promise<void> {
    const path = join(this.#runDir(pid), 'mail')
    await eventually(`mail with ${words.join(' and ')}`, () => {
      const mail = readFileSync(path, 'utf8')
      return words.every((word) => mail.includes(word))
    })
  }

  sidecarPid(pid: number): number {
    return (JSON.parse(readFileSync(join(this.#runDir(pid), 'sidecar.json'), 'utf8')) as { pid: number }).pid
  }

  /** The session's processes of ours: the hook's loop and the sidecar. */
  sidecarProcesses(pid: number): number[] {
    const ours = processesWith(this.#lab.root).filter(({ command }) =>
      command.includes('/hooks/claude-code.sh sidecar'),
    )
    const loops = ours
      .filter(({ command }) => new RegExp(` ${pid}( plugin)?$`).test(command))
      .map((process) => process.pid)
    return existsSync(this.#runDir(pid)) ? [...loops, this.sidecarPid(pid)] : loops
  }

  #runDir(pid: number): string {
    return join(this.#lab.meshHome, 'run', `cc-${pid}`)
  }
}
