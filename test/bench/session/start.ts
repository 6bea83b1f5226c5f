/**
 * The SessionStart hook as the client runs it: the answering hook and the sidecar's hook at once, each by the settings
 * line in `sh`, with a process in the client's place. The first prompt waits for it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from '../lab/lab.ts'
import { cpuOf, kill, timeProcess } from '../lab/process.ts'
import { ms, type Row, spread, summarize } from '../lab/row.ts'
import { hookLine } from '../mail/step.ts'

const ROUNDS = { up: 15, cold: 6 }
const BUDGET_MS = { up: 140, cold: 500 }
const PATIENCE_MS = 10_000

export interface FakeSession {
  /** Milliseconds until the hook had answered. */
  took: number
  text: string
  /** The shell that keeps the sidecar. */
  loopPid: number
  sidecarPid(): number
  /** Kills the client and waits until its sidecar has gone. */
  end(): Promise<void>
}

/** A session whose client is a process that does nothing. Throws if the hook answered nothing. */
export async function startSession(lab: Lab, own: Record<string, string> = {}): Promise<FakeSession> {
  const client = lab.start('sleep', ['600'])
  const pid = client.pid!
  const env = { ...lab.env, ...own, CLAUDE_PID: String(pid), CLAUDE_CODE_ENTRYPOINT: 'cli' }
  const event = { session_id: randomUUID(), hook_event_name: 'SessionStart', source: 'startup', cwd: lab.cwd }
  const startedAt = performance.now()
  const hook = runHook(lab, hookLine(lab, 'SessionStart'), env, event)
  const loop = runHook(lab, hookLine(lab, 'SessionStart', 1), env, event)
  const answer = await output(hook)
  const took = performance.now() - startedAt
  const dir = join(lab.home.run, `cc-${pid}`)
  const session = {
    took,
    text: answer === '' ? '' : (JSON.parse(answer).hookSpecificOutput.additionalContext as string),
    loopPid: loop.pid!,
    sidecarPid: () => (JSON.parse(readFileSync(join(dir, 'sidecar.json'), 'utf8')) as { pid: number }).pid,
    end: async () => {
      kill(pid, 'SIGKILL')
      await ended(loop)
      if (existsSync(dir)) await sleep(200)
    },
  }
  if (session.text.startsWith('You are "')) return session
  await session.end()
  throw new Error(`the SessionStart hook answered ${JSON.stringify(answer)}`)
}

/** As the client starts it: a shell, the event on standard input, a socket pair as standard output. */
function runHook(lab: Lab, line: string, env: Record<string, string>, event: object): ChildProcess {
  const child = spawn('/bin/sh', ['-c', line], { cwd: lab.cwd, env, stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdin!.on('error', () => {})
  child.stdin!.end(JSON.stringify(event))
  return child
}

async function output(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout!.on('data', (chunk) => (text += String(chunk)))
  await ended(child)
  return text
}

async function ended(child: ChildProcess): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('close', resolve))
  clearTimeout(timer)
}

export async function measureStart(lab: Lab): Promise<Row> {
  const samples = { up: [] as number[], cold: [] as number[], node: [] as number[], cpu: [] as number[] }
  for (let i = -1; i < ROUNDS.up; i++) {
    samples.node.push(timeProcess(process.execPath, ['-e', '0'], lab.env))
    const session = await startSession(lab)
    const cpuMs = cpuOf(session.sidecarPid()) * 1000
    await session.end()
    if (i < 0) continue
    samples.up.push(session.took)
    samples.cpu.push(cpuMs)
  }
  for (let i = 0; i < ROUNDS.cold; i++) {
    await lab.mesh(['down'])
    const session = await startSession(lab)
    await session.end()
    samples.cold.push(session.took)
  }
  await lab.mesh(['up'])
  const { up, cold, node, cpu } = {
    up: summarize(samples.up),
    cold: summarize(samples.cold),
    node: summarize(samples.node),
    cpu: summarize(samples.cpu),
  }
  return {
    what: 'SessionStart hook: engine up / cold',
    measured: `${ms(up.p50)} / ${ms(cold.p50)}`,
    anchor: `node -e 0 ${ms(node.p50)}`,
    ratio: up.p50 / node.p50,
    budget: `≤ ${BUDGET_MS.up} / ≤ ${BUDGET_MS.cold} ms`,
    ok: up.p50 <= BUDGET_MS.up && cold.p50 <= BUDGET_MS.cold,
    details: [
      `engine up ${spread(up)}; cold (after mesh down, engine fetched) ${spread(cold)}`,
      `CPU of the sidecar until then ${ms(cpu.p50)}`,
    ],
    figures: { up, cold, node, cpu },
  }
}
