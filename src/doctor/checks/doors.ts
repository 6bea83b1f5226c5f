/** The ways in, each with a real message: a waiting call over the engine, the hook script, the doors of sessions. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Response } from '../../api/ops.schema.ts'
import { call } from '../../client/client.ts'
import type { Sidecar } from '../../client/sidecar.ts'
import { answers } from '../../client/spawn.ts'
import { MeshError } from '../../errors.ts'
import { hookCommand } from '../../harness/setup.ts'
import { socketPath } from '../../host/home.ts'
import { newId } from '../../wire/names.ts'
import { type Finding, fault, good } from '../finding.ts'
import { serves } from '../look/engine.ts'
import type { SessionLook } from '../look/session.ts'
import type { Setup } from '../setup.ts'
import { inspect, isInstalled } from './hooks.ts'

const LOOP_MS = 10_000
const STOP_MS = 3000
const HOOK_MS = 5000
const PING_MS = 60_000
const TEXT = 'A test message of mesh doctor, from you to yourself.'

/** `isSound`: nothing wrong was found that a sidecar would mend, or hide, by starting, or that would keep it waiting. */
export async function lookAtDoors(setup: Setup, isSound: boolean): Promise<Finding[]> {
  const [waiting, hook, sessions] = await Promise.all([
    throughEngine(setup, isSound),
    throughHook(setup),
    throughSessions(setup),
  ])
  return [...waiting, ...hook, ...sessions]
}

/** From the operator to itself, as an answer to itself, so that the waiting call takes this message and no other. */
async function throughEngine(setup: Setup, isSound: boolean): Promise<Finding[]> {
  if (!serves(await setup.engine())) return [good('door.wait', 'not tried: the engine does not run')]
  const sidecar = setup.operator()
  if (!sidecar) return []
  if (!isSound) return [good('door.wait', 'not tried: first mend the other faults')]
  const wasThere = await answers(sidecar.target.socket)
  try {
    const ms = await ring(sidecar)
    return [good('door.wait', `a message went through the engine to a waiting call in ${ms} ms`)]
  } catch (thrown) {
    const error = MeshError.from(thrown)
    return [fault('door.wait', `a message to yourself did not arrive: ${error.message}`, 'mesh down && mesh up')]
  } finally {
    if (!wasThere) await call(sidecar.target.socket, 'stop', {}, { timeoutMs: STOP_MS }).catch(() => {})
  }
}

async function ring(sidecar: Sidecar): Promise<number> {
  const { name } = await sidecar.call('whoami', {}, { timeoutMs: LOOP_MS })
  const id = newId('m')
  const since = performance.now()
  const request = { id, to: name, text: TEXT, replyTo: id, wait: 'reply', timeoutMs: LOOP_MS } as const
  const { reply, handover } = await sidecar.call('send', request, { timeoutMs: LOOP_MS * 2 })
  const ms = Math.round(performance.now() - since)
  if (handover !== undefined) await sidecar.call('taken', { handover })
  if (reply?.text !== TEXT)
    throw new MeshError('internal', 'the message that it sent itself came back with another text')
  return ms
}

/** The line of the settings and the script it runs, in a mesh home made for this: events in, mail out. */
async function throughHook(setup: Setup): Promise<Finding[]> {
  const seen = inspect(setup)
  if (!isInstalled(seen) || seen.script === 'missing') return []
  const scratch = mkdtempSync(join(tmpdir(), 'mesh-doctor-'))
  try {
    const key = `cc-${process.pid}`
    const dir = join(scratch, 'run', key)
    mkdirSync(join(dir, 'spool'), { recursive: true, mode: 0o700 })
    const token = newId('m')
    writeFileSync(join(dir, 'mail'), JSON.stringify(token), { mode: 0o600 })
    const said = await runHook(setup, scratch, 'PostToolBatch', { tool_calls: [] })
    await runHook(setup, scratch, 'UserPromptSubmit', { prompt: token })
    const spooled = readdirSync(join(dir, 'spool')).filter((name) => name.startsWith('UserPromptSubmit'))
    const event = spooled[0] && readFileSync(join(dir, 'spool', spooled[0]), 'utf8')
    const problem = contextOf(said) !== token ? 'gave no mail' : event?.includes(token) ? null : 'passed no event on'
    if (problem === null) return [good('door.hook', 'the hook script passes events on and gives mail')]
    return [fault('door.hook', `${seen.scriptPath} ${problem} when it was run`, 'mesh install')]
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function runHook({ env, home }: Setup, scratch: string, event: string, more: object): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', hookCommand(home, event)], {
      env: { PATH: env.PATH, HOME: scratch, MESH_HOME: scratch, CLAUDE_PID: String(process.pid) },
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: HOOK_MS,
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    child.stdin.on('error', () => {})
    child.stdin.end(JSON.stringify({ session_id: 'doctor', hook_event_name: event, ...more }))
    child.on('error', () => resolve(''))
    child.on('close', () => resolve(said))
  })
}

function contextOf(said: string): unknown {
  try {
    return (JSON.parse(said) as { hookSpecificOutput?: { additionalContext?: unknown } }).hookSpecificOutput
      ?.additionalContext
  } catch {
    return undefined
  }
}

async function throughSessions(setup: Setup): Promise<Finding[]> {
  const living = (await setup.sessions()).filter(({ health, isOperator }) => health?.name && !isOperator)
  if (setup.options.wake) return Promise.all(living.map((session) => wake(session)))
  return living.map((session) => good('door.session', `${session.name}: ${doorsOf(session)}`))
}

function doorsOf({ health }: SessionLook): string {
  const words = health!.doors.map(({ name, state, provenAt }) =>
    provenAt ? `${name} proven ${provenAt}` : `${name} ${state}`,
  )
  return words.join(', ') || 'no door now: mail waits'
}

/** The session's own sidecar posts it, so that it needs neither the operator nor the operator's project. */
async function wake({ name, dir, health }: SessionLook): Promise<Finding> {
  const request = { id: newId('m'), name: health!.name!, wake: true, timeoutMs: PING_MS }
  const pinged = await call(socketPath(dir), 'ping', request, { timeoutMs: PING_MS * 2 }).catch(asProblem)
  if ('problem' in pinged && pinged.problem)
    return fault('door.session', `${name}: ${pinged.problem.message}`, `mesh ping ${name} --wake`)
  const { door, ms } = pinged as Response<'ping'>
  return good('door.session', `${name}: its model read a message through ${door} in ${ms} ms`)
}

function asProblem(error: unknown): Pick<Response<'ping'>, 'problem'> {
  return { problem: MeshError.from(error).toBody() }
}
