/** Readers of the crash suite: real commands that are started again whenever they end or are killed. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Message } from '../../../src/api/ops.schema.ts'
import { ended, type FaultHome, MESH_JS } from './home.ts'

/** One message on a reader's standard output, in the order in which it came out. */
export interface Shown {
  reader: string
  at: number
  message: Message
}

/** `follow`: one long-lived `mesh inbox --follow`. `turns`: `mesh wait` and `mesh inbox` in turns. */
export type ReaderKind = 'follow' | 'turns'

const AGAIN_MS = 50

export class Reader {
  readonly name: string
  readonly shown: Shown[] = []
  /** What its commands said on standard error, without repetition. */
  readonly complaints = new Map<string, number>()
  readonly #home: FaultHome
  readonly #kind: ReaderKind
  readonly #done: Promise<void>
  #child: ChildProcess | null = null
  #stopped = false

  constructor(home: FaultHome, name: string, kind: ReaderKind) {
    this.#home = home
    this.name = name
    this.#kind = kind
    this.#done = this.#run()
  }

  /** kill -9 of the command that is reading now. */
  kill(): boolean {
    return this.#child?.kill('SIGKILL') ?? false
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.kill()
    await this.#done
  }

  async #run(): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      await this.#readOnce(this.#argsOf(turn))
      await sleep(AGAIN_MS)
    }
  }

  #argsOf(turn: number): string[] {
    if (this.#kind === 'follow') return ['inbox', '--follow', '--json', '--as', this.name]
    const [wait, inbox] = [['wait', '--timeout', '5s'], ['inbox']]
    return [...(turn % 2 === 0 ? wait : inbox), '--json', '--as', this.name]
  }

  async #readOnce(args: string[]): Promise<void> {
    const child = this.#home.start(MESH_JS, args)
    this.#child = child
    createInterface({ input: child.stderr! }).on('line', (line) => this.#complain(line))
    const lines = createInterface({ input: child.stdout! }).on('line', (line) => this.#show(line))
    await Promise.all([ended(child), new Promise((resolve) => lines.once('close', resolve))])
    this.#child = null
  }

  /** `inbox` prints one list, the others one message a line. A line that a kill cut short was not shown. */
  #show(line: string): void {
    const value = parse(line)
    for (const message of [value].flat()) this.shown.push({ reader: this.name, at: Date.now(), message })
  }

  #complain(line: string): void {
    const key = line.replaceAll(/m_[0-9a-f]+|\d+/g, '…').slice(0, 160)
    this.complaints.set(key, (this.complaints.get(key) ?? 0) + 1)
  }
}

function parse(line: string): Message | Message[] {
  try {
    return JSON.parse(line) as Message | Message[]
  } catch {
    return []
  }
}
