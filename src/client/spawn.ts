/** Starts an operator's sidecar and awaits its socket. Of several started at once the sidecar's own lock keeps one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, fstatSync, openSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir, fileError, readText } from '../host/files.ts'
import type { Env, Home } from '../host/home.ts'
import { connectPrivately } from '../host/listen.ts'
import { lockOwner } from '../host/lock.ts'
import { nodeFlags } from '../host/process/node-flags.ts'
import { sendSignal } from '../host/process/process.ts'
import { type Operator, readRecord, type Target } from './find.ts'
import { hasEnded, lastWords, startError } from './last-words.ts'

const START_MS = 10_000
/** A restart that has failed by then is no matter of a moment; one that has not may be slow. */
const FAILED_MS = 1800
const SLOW_MS = 1200
const CODE_BYTES = 64
const POLL_MS = 10

/** The built sidecar; it lies beside the built command. */
export const sidecarPath = join(import.meta.dirname, 'sidecar.js')

/**
 * The environment that a sidecar may need: the rest (an agent's, other programs' secrets) stays behind. NODE_EXTRA_CA_CERTS
 * costs each start of Node 20 45 ms, and a sidecar speaks to this machine only: its command has fetched the engine.
 */
const KEPT =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|MESH_\w+|(HTTPS?|NO|ALL)_PROXY|SSL_CERT_(FILE|DIR)|npm_config_\w+)$/i
/** Variables of the calling session, not of the operator. */
const DROPPED = new Set(['MESH_SESSION', 'MESH_SPACE', 'MESH_RUN_ID', 'MESH_LINEAGE'])

/** Starts the sidecar of `target`, unless another process is faster, and returns once it serves. */
export async function startOperator(target: Target & { operator: Operator }, env: Env, home: Home): Promise<void> {
  const deadline = performance.now() + START_MS
  const log = openErrors(home, target.dir)
  try {
    const from = fstatSync(log).size
    let child = launch(target, env, home, log)
    let isEnded = false
    while (!(await answers(target.socket))) {
      if (!isEnded && performance.now() > deadline - START_MS / 2) isEnded = endDeaf(target)
      if (performance.now() > deadline) throw late(home, target)
      if (hasEnded(child)) {
        if (child.exitCode !== 0)
          throw startError('the sidecar', child, lastWords(join(target.dir, 'stderr'), from), logHint(home, target))
        // Another one had the lock. It serves soon, or has died since.
        await sleep(POLL_MS * 10)
        if (!(await answers(target.socket))) child = launch(target, env, home, log)
      }
      await sleep(POLL_MS)
    }
  } finally {
    closeSync(log)
  }
}

/** Ends an operator's sidecar of 0.1.0 whose socket was removed: it would keep the lock and never listen again. */
function endDeaf({ dir, socket }: Target): boolean {
  const owner = lockOwner(join(dir, 'lock'))
  const hasServed = owner !== null && readRecord(dir)?.sidecar?.pid === owner.pid
  return hasServed && !existsSync(socket) && sendSignal(owner, 'SIGTERM')
}

/** The sidecar logs elsewhere; this file takes what it says when it cannot. An earlier one may be removing its directory. */
function openErrors(home: Home, dir: string): number {
  for (let tries = 3; ; tries--) {
    for (const path of [home.root, home.run, dir]) ensurePrivateDir(path)
    try {
      return openSync(join(dir, 'stderr'), 'a', 0o600)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === 0) throw fileError(error, dir)
    }
  }
}

function launch({ dir, operator }: Target & { operator: Operator }, env: Env, home: Home, log: number): ChildProcess {
  const child = spawn(process.execPath, [...nodeFlags(home), sidecarPath, 'operator', dir], {
    cwd: operator.worktree,
    detached: true,
    stdio: ['ignore', 'ignore', log],
    env: { ...scrub(env), MESH_HOME: home.root, MESH_PROJECT: operator.project, MESH_NAME: operator.name },
  })
  child.on('error', () => {})
  child.unref()
  return child
}

/** The environment of a process that outlives its caller. */
export function scrub(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => KEPT.test(name) && !DROPPED.has(name)))
}

/** True if a process accepts connections on the socket. */
export function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connectPrivately(socket)
    const settle = (result: boolean) => {
      probe.destroy()
      resolve(result)
    }
    probe.once('connect', () => settle(true))
    probe.once('error', () => settle(false))
  })
}

/**
 * Waits until the loop around a session's sidecar has brought it back, which takes a second or two. Throws
 * `sidecar_down` with what its last start failed of.
 */
export async function awaitRestart(target: Target, home: Home): Promise<void> {
  if (await awaitSocket(target.socket, FAILED_MS)) return
  const code = readText(join(target.dir, 'failed'), CODE_BYTES)?.trim()
  const hint = logHint(home, target)
  if (code) {
    const end = { exitCode: Number(code), signalCode: null }
    throw startError('this session’s sidecar', end, lastWords(join(target.dir, 'stderr')), hint)
  }
  if (await awaitSocket(target.socket, SLOW_MS)) return
  throw new MeshError('sidecar_down', 'this session’s sidecar is down and did not come back', { hint })
}

/** Waits up to `ms` until the socket is served. */
export async function awaitSocket(socket: string, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  for (;;) {
    if (await answers(socket)) return true
    if (performance.now() > deadline) return false
    await sleep(POLL_MS * 2)
  }
}

/** Waits up to `ms` until the socket is no longer served. */
export async function awaitSilence(socket: string, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  for (;;) {
    if (!(await answers(socket))) return true
    if (performance.now() > deadline) return false
    await sleep(POLL_MS * 2)
  }
}

function late(home: Home, target: Target): MeshError {
  const hint = logHint(home, target)
  return new MeshError('sidecar_down', `the sidecar did not serve within ${START_MS / 1000} s`, { hint })
}

function logHint(home: Home, target: Target): string {
  return `see ${join(home.root, 'logs', `${basename(target.dir)}.log`)}, or run: mesh doctor`
}
