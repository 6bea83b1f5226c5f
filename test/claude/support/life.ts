/** A session seen from three sides: the client's own registry, its sidecar's record, and what its model reads. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Interactive, kill, processesWith, type StartOptions } from './client.ts'
import { eventually } from './eventually.ts'
import type { ModelRequest } from './mock-model.ts'
import type { Suite } from './suite.ts'

const COMMAND_MS = 30_000

export interface RegistryEntry {
  sessionId: string
  status: string
  statusUpdatedAt: number
  kind: string
}

interface SidecarRecord {
  pid: number
  name: string
  epoch: number
  sessionId: string
}

/** Our start texts in a request, without their usage: what a failed assertion should print. */
export function startTexts({ text }: ModelRequest): string {
  const found = text.matchAll(/You are "[^"]*" on mesh.*\n(?:.*\n){0,4}?(?:Peers: |No peers)/g)
  return [...found].map(([start]) => start).join('\n\n')
}

export class Life {
  readonly #suite: Suite
  #words = 0

  constructor(suite: Suite) {
    this.#suite = suite
  }

  /** The client's own entry. Throws when it has none. */
  registry(pid: number): RegistryEntry {
    return JSON.parse(readFileSync(join(this.#suite.lab.configDir, 'sessions', `${pid}.json`), 'utf8'))
  }

  /** What the session's sidecar wrote down. */
  record(pid: number): SidecarRecord {
    return JSON.parse(readFileSync(join(this.#suite.lab.meshHome, 'run', `cc-${pid}`, 'sidecar.json'), 'utf8'))
  }

  async start(options: StartOptions = {}): Promise<Interactive & { name: string }> {
    const session = await this.#suite.terminal.start(options)
    const { name } = await this.#suite.mesh.reaches(session.pid, 'idle')
    return { ...session, name }
  }

  /** Runs a command of the client to its end. */
  claude(args: string[], more: Record<string, string> = {}): Promise<string> {
    const { lab, claude } = this.#suite
    return new Promise((resolve, reject) => {
      const options = { cwd: lab.project, env: { ...lab.env, ...more }, timeout: COMMAND_MS }
      execFile(claude, args, options, (error, out) => (error ? reject(error) : resolve(out)))
    })
  }

  /** Kills the client; no name is its any more. */
  async end({ pid }: { pid: number }): Promise<void> {
    kill(pid, 'SIGKILL')
    await this.ended(pid)
  }

  /** Waits until no name is held by this process. */
  async ended(pid: number): Promise<void> {
    const named = async () => (await this.#suite.mesh.ps()).filter((one) => one.pid === pid && one.status !== 'gone')
    await eventually(`no name is held by ${pid}`, async () => (await named()).length === 0)
  }

  /** A prompt without tools: the conversation has a transcript that can be resumed. */
  async say(session: Interactive, text: string): Promise<ModelRequest> {
    session.type(text)
    await eventually('the input shows the text', () => session.screen().includes(text.slice(-40)))
    session.press('Enter')
    const request = await this.readBy(text)
    await this.#suite.mesh.reaches(session.pid, 'idle')
    return request
  }

  /** The client writes its transcript every 0.1 s: what is not in it cannot be resumed. */
  async isWritten(pid: number, sessionId: string): Promise<void> {
    const { transcript } = JSON.parse(readFileSync(join(this.#runDir(pid), 'client.json'), 'utf8'))
    expect(transcript).toContain(sessionId)
    await eventually('the answer is in the transcript', () =>
      readFileSync(transcript, 'utf8').includes('"type":"assistant"'),
    )
  }

  readBy(word: string): Promise<ModelRequest> {
    return eventually(`the model reads ${word}`, () => this.#suite.model.saw(word)[0])
  }

  /**
   * Name, epoch and conversation are the same in the client's registry, the sidecar's record and the names record; one
   * loop and one sidecar serve the session; mail to the name wakes this very conversation, whose model knows its name.
   */
  async isRight(pid: number, expected: { name: string; epoch: number; sessionId?: string }): Promise<ModelRequest> {
    const { mesh, model } = this.#suite
    const { name, epoch, sessionId = this.registry(pid).sessionId } = expected
    expect(this.registry(pid).sessionId).toBe(sessionId)
    await eventually(
      () => `${name}, epoch ${epoch} of ${sessionId}: ${JSON.stringify(this.record(pid))}`,
      () => {
        const record = this.record(pid)
        return record.name === name && record.epoch === epoch && record.sessionId === sessionId
      },
    )
    const word = `right-${pid}-${++this.#words}`
    const { id } = await mesh.send(name, word)
    const request = await this.readBy(word)
    expect(request.sessionId).toBe(sessionId)
    expect(startTexts(request)).toMatch(new RegExp(`^You are "${name}" on mesh`, 'm'))
    await mesh.traced(id, 'surfaced')
    expect(await mesh.reaches(pid, 'idle')).toMatchObject({ name, epoch, unread: 0 })
    expect(model.saw(word).filter((one) => one.sessionId !== sessionId)).toEqual([])
    this.hasOneSidecar(pid)
    return request
  }

  /** One loop of the hook's, one sidecar. */
  hasOneSidecar(pid: number): void {
    const ours = processesWith(this.#suite.lab.root).map(({ command }) => command)
    const of = (start: RegExp) => ours.filter((command) => start.test(command) && command.endsWith(` ${pid}`))
    expect(of(/claude-code\.sh sidecar/)).toHaveLength(1)
    expect(ours.filter((command) => command.endsWith(`sidecar.js claude-code ${this.#runDir(pid)}`))).toHaveLength(1)
  }

  #runDir(pid: number): string {
    return join(this.#suite.lab.meshHome, 'run', `cc-${pid}`)
  }
}
