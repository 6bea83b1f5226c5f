/** How the model can answer: by commands, unless the client's sandbox shuts them in, else by the tools of an MCP server. */
import { join } from 'node:path'
import { readText } from '../../../host/files.ts'
import type { Env, Home } from '../../../host/home.ts'
import { identifyProcess } from '../../../host/process/process.ts'
import type { Voice } from '../../types.ts'
import { shutSandbox } from '../install/sandbox.ts'

/** In the session directory: the pid of the MCP server that gives the model mesh's tools. */
export const TOOLS_FILE = 'tools'
/** People change settings under a living session. */
const LOOK_MS = 10_000
const PID_BYTES = 64

export class VoiceWatch {
  readonly #options: { env: Env; home: Home; sessionDir: string }
  #voice: Voice = 'shell'
  #lookAgainAt = 0

  constructor(options: { env: Env; home: Home; sessionDir: string }) {
    this.#options = options
  }

  /** Returns the voice of a session in `folder`, as the client's settings tell. */
  in(folder: string): Voice {
    if (performance.now() < this.#lookAgainAt) return this.#voice
    this.#lookAgainAt = performance.now() + LOOK_MS
    const { env, home, sessionDir } = this.#options
    const isShut = shutSandbox(env, home, env.CLAUDE_PROJECT_DIR || folder) !== null
    this.#voice = !isShut ? 'shell' : hasTools(sessionDir) ? 'tools' : 'none'
    return this.#voice
  }
}

function hasTools(sessionDir: string): boolean {
  try {
    const pid = Number(readText(join(sessionDir, TOOLS_FILE), PID_BYTES))
    return Number.isSafeInteger(pid) && pid > 0 && identifyProcess(pid) !== null
  } catch {
    return false
  }
}
