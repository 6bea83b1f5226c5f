/** Another local user with a relay. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleProgram, scrubbedEnv, temporaryDir } from '../engine.ts'

const NOBODY = 65_534

/** Why there is no other user here; null if there is. */
export const noForeignUser = findForeignUser()

function findForeignUser(): string | null {
  if (process.getuid?.() !== 0 || process.platform !== 'linux')
    return 'only root on Linux can start a process of another user'
  const { error } = spawnSync(process.execPath, ['--version'], { cwd: '/', uid: NOBODY, gid: NOBODY })
  return error ? `another user cannot run ${process.execPath}` : null
}

interface Word {
  ready?: string | null
  captured?: number
  victim?: number
  relayed?: number
  heard?: number
  text?: string
}

let program: Promise<string> | null = null

/** As text, since that user cannot read our files. */
function programText(): Promise<string> {
  program ??= (async () => {
    const dir = temporaryDir()
    const path = await bundleProgram(`import './lab/foe-program.ts'`, join(dir.path, 'foe.js'))
    const code = readFileSync(path, 'utf8')
    dir.remove()
    return code
  })()
  return program
}

export class Foe {
  readonly #child: ChildProcess
  readonly words: Word[] = []

  private constructor(child: ChildProcess) {
    this.#child = child
    let text = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const lines = text.split('\n')
      text = lines.pop()!
      this.words.push(...lines.map((line) => JSON.parse(line) as Word))
    })
  }

  /** Somebody who takes `port` as soon as it is free, and knows the engine from its port `engine`. */
  static async start(port: number, engine: number): Promise<Foe> {
    const child = spawn(process.execPath, ['--input-type=module', '-'], {
      cwd: '/',
      uid: NOBODY,
      gid: NOBODY,
      env: scrubbedEnv({ FOE_PORT: String(port), FOE_ENGINE: String(engine), HOME: '/' }),
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin!.end(await programText())
    return new Foe(child)
  }

  has(word: keyof Word): boolean {
    return this.count(word) > 0
  }

  count(word: keyof Word): number {
    return this.words.filter((each) => each[word] !== undefined).length
  }

  /** What was said to it: the beginning of each piece. */
  get heard(): string[] {
    return this.words.flatMap(({ text }) => (text === undefined ? [] : [text]))
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await ended
  }
}
