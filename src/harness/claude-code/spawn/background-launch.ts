/** Starts and stops a session that the client's own daemon runs (`claude --bg`), by the client's own commands. */
import { type ExecFileException, execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { visible } from '../../../core/render.ts'
import { MeshError } from '../../../errors.ts'
import type { Env } from '../../../host/home.ts'
import { findExecutable } from '../../../host/process/executable.ts'
import { environmentOf } from '../../../host/process/process.ts'
import { parseJson } from '../../../wire/codec.ts'
import { limits } from '../../../wire/limits.ts'
import { quote } from '../../../wire/names.ts'
import { childEnv } from './launch.ts'
import { listedAgents } from './print-event.schema.ts'

/** Allows for the first call, which starts the daemon as well. */
const COMMAND_MS = 60_000
/** The job is there before its process (2.1.329: within a second, on a loaded machine in several). */
const PID_MS = 30_000
const POLL_MS = 100
const OUTPUT_BYTES = 16 * 1024 * 1024
/** `backgrounded · 29b7aef0 · name`: the id that `claude stop` takes, the session id's first digits. */
const ID = /^backgrounded\W+([0-9a-f]{8})\b/m

interface Command {
  /** The client's executable. */
  path: string
  env: Env
  cwd: string
}

export interface BackgroundSession {
  pid: number
  /** The client's words: how people attach to it, and see what it does. */
  said: string
  /** Ends the session for good: the daemon restarts one that is only killed. */
  stop(): Promise<void>
}

/** Starts a background session. Throws `bad_request` with the client's own words when it starts none. */
export async function launchBackground(command: Command, args: string[], prompt: string): Promise<BackgroundSession> {
  const said = await client(command, args, prompt)
  const id = ID.exec(said.out)?.[1]
  if (said.error || id === undefined) {
    const words = (said.err || said.out).trim().split('\n').at(-1)
    throw new MeshError(
      'bad_request',
      `the client started no session in the background: ${words || String(said.error)}`,
    )
  }
  const stop = async () => void (await client(command, ['stop', id]))
  const deadline = performance.now() + PID_MS
  while (performance.now() < deadline) {
    const jobs = listedAgents.safeParse(parseJson(Buffer.from((await client(command, ['agents', '--json'])).out))).data
    const pid = jobs?.find((job) => job.id === id)?.pid
    if (pid !== undefined) return { pid, said: said.out, stop }
    await sleep(POLL_MS)
  }
  await stop()
  throw new MeshError('internal', `the client shows no process for its session ${id}`)
}

/** Variables that decide which daemon of the client's is asked: the one of the session's process. */
const OF_DAEMON = ['HOME', 'PATH', 'CLAUDE_CONFIG_DIR']

interface Stoppable {
  /** The client's command when the session was started. */
  word: string
  cwd: string
  pid: number
  /** The client's words then. */
  said: string
}

/**
 * Ends a session for good that another process started. Throws `not_found` and `conflict`, with the client's own words.
 */
export async function stopBackground(env: Env, { word, cwd, pid, said }: Stoppable): Promise<void> {
  const id = ID.exec(said)?.[1]
  if (id === undefined) {
    const message = 'the client did not print the ID of its session, so mesh cannot end it there'
    throw new MeshError('not_found', message, { hint: `end it in the client, or with: kill ${pid}` })
  }
  const theirs = OF_DAEMON.flatMap((name) => {
    const value = environmentOf(pid, name)
    return value === null ? [] : [[name, value]]
  })
  const asked: Env = { ...childEnv(env), ...Object.fromEntries(theirs) }
  const found = findExecutable(word, asked.PATH, cwd)
  if ('fault' in found) throw new MeshError('not_found', `only its client can end it, and ${quote(word)} is not here`)
  const { error, out, err } = await client({ path: found.path, env: asked, cwd }, ['stop', id])
  if (error) throw new MeshError('conflict', `\`claude stop ${id}\` failed: ${lastLine(err || out) || String(error)}`)
}

function lastLine(text: string): string {
  return visible(text.trim().split('\n').at(-1) ?? '').slice(0, limits.reason)
}

function client({ path, env, cwd }: Command, args: string[], input = '') {
  return new Promise<{ error: ExecFileException | null; out: string; err: string }>((resolve) => {
    const options = { env, cwd, timeout: COMMAND_MS, maxBuffer: OUTPUT_BYTES }
    const child = execFile(path, args, options, (error, out, err) => resolve({ error, out, err }))
    child.stdin?.on('error', () => {}).end(input)
  })
}
