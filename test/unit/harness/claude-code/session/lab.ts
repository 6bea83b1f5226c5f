/** A Claude Code session over files that stand for the client: hooks, registry, transcript. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, vi } from 'vitest'
import { createClaudeCode } from '../../../../../src/harness/claude-code/session.ts'
import type { Conversation, Harness } from '../../../../../src/harness/types.ts'
import { meshHome } from '../../../../../src/host/home.ts'

export const SESSION = '11111111-2222-4333-8444-555555555555'
export const TOKEN = 'mesh-0a1b2c3d'

export let root: string
export let client: ChildProcess
export let dir: string
export let env: Record<string, string>
let harness: Harness | undefined
export let events: unknown[][]
/** The causes of the status, as they were reported. */
export let causes: unknown[]

/** Gives each test of a file a client, its directories and a place for what the session reports. */
export function useSession(): void {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'mesh-harness-'))
    client = spawn('sleep', ['600'])
    env = { MESH_HOME: join(root, 'mesh'), CLAUDE_CONFIG_DIR: join(root, 'config'), CLAUDE_CODE_ENTRYPOINT: 'cli' }
    dir = join(root, 'mesh', 'run', `cc-${client.pid}`)
    // As the hook script does.
    for (const name of ['spool', 'start']) mkdirSync(join(dir, name), { recursive: true })
    mkdirSync(join(root, 'config', 'sessions'), { recursive: true })
    events = []
    causes = []
  })
  afterEach(async () => {
    vi.useRealTimers()
    await harness?.stop()
    harness = undefined
    client.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true })
  })
}

let count = 0
export function hook(name: string, fields: object = {}, secondsAgo = 0): string {
  const id = `${name}-${++count}`
  const event = {
    hook_event_name: name,
    session_id: SESSION,
    cwd: '/home/dev',
    transcript_path: transcript(),
    ...fields,
  }
  writeFileSync(join(dir, 'spool', `${id}.t`), JSON.stringify(event))
  const at = Date.now() / 1000 - secondsAgo
  if (secondsAgo > 0) utimesSync(join(dir, 'spool', `${id}.t`), at, at)
  renameSync(join(dir, 'spool', `${id}.t`), join(dir, 'spool', `${id}.json`))
  return id
}
export const transcript = () => join(root, 'transcript.jsonl')
export const registry = (status: string, statusUpdatedAt = Date.now(), more: object = {}) =>
  writeFileSync(
    join(root, 'config', 'sessions', `${client.pid}.json`),
    JSON.stringify({ pid: client.pid, status, statusUpdatedAt, ...more }),
  )
/** A person typed this in the client. */
export function typed(display: string, sessionId = SESSION, timestamp = Date.now()): void {
  const line = { display, pastedContents: {}, timestamp, project: '/home/dev', sessionId }
  appendFileSync(join(root, 'config', 'history.jsonl'), `${JSON.stringify(line)}\n`)
}
export const create = () => createClaudeCode({ env, sessionDir: dir, home: meshHome(env), cwd: root, log: () => {} })

export async function start(
  conversation: (c: Conversation) => Promise<string> = async () => 'welcome',
): Promise<Harness> {
  harness = create()
  await harness.start({
    status: (status, cause) => {
      if (seen('status').at(-1)?.[0] !== status) events.push(['status', status])
      causes.push(cause ?? null)
    },
    conversation: (c) => {
      events.push(['conversation', c.source, c.sessionId])
      return conversation(c)
    },
    evidence: (...evidence) => events.push(['evidence', ...evidence]),
    edited: () => {},
    prompted: () => events.push(['prompted']),
    turnEnded: (turn) => events.push(['turnEnded', turn]),
    interrupted: (is) => events.push(['interrupted', is]),
    ended: ({ reason }) => events.push(['ended', reason]),
  })
  return harness
}
export const seen = (what: string) => events.filter(([kind]) => kind === what).map(([, ...rest]) => rest)
