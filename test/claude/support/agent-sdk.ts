/** A session run by the Agent SDK: its host is a process of the test's, its client the one in the cache. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Lab, Streaming } from './client.ts'

const VERSION = '0.3.332'
const INSTALL_MS = 300_000

/** The host: takes prompts, one a line, and prints what the SDK gives, one a line. */
const HOST = `
import { createInterface } from 'node:readline'
const { sdk, options } = JSON.parse(process.argv[2])
const { query } = await import(sdk)
async function* prompts() {
  for await (const line of createInterface({ input: process.stdin }))
    yield { type: 'user', message: { role: 'user', content: JSON.parse(line) }, parent_tool_use_id: null }
}
for await (const message of query({ prompt: prompts(), options })) console.log(JSON.stringify(message))
`

/** Where the SDK is, installed if need be, without the client that it brings; or why there is none. */
export function findSdk(): { path: string } | { missing: string } {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sessionmesh-test')
  const dir = join(cache, `claude-agent-sdk-${VERSION}`)
  if (!existsSync(dir)) {
    mkdirSync(cache, { recursive: true })
    const fresh = mkdtempSync(join(cache, 'install-'))
    const what = [`@anthropic-ai/claude-agent-sdk@${VERSION}`, '--omit=optional', '--no-audit', '--no-fund']
    const run = spawnSync('npm', ['install', '--prefix', fresh, ...what], { encoding: 'utf8', timeout: INSTALL_MS })
    if (run.status === 0) renameSync(fresh, dir)
    else {
      rmSync(fresh, { recursive: true, force: true })
      return { missing: `npm install ${what[0]} failed: ${(run.stderr || String(run.error)).slice(-500)}` }
    }
  }
  return { path: join(dir, 'node_modules', '@anthropic-ai', 'claude-agent-sdk', 'sdk.mjs') }
}

/** Starts a host with one session. Its pid is the host's, which is not the client's. */
export function runSdk(lab: Lab, claude: string, sdk: string, more: object = {}): Streaming {
  const host = join(lab.root, 'host.mjs')
  writeFileSync(host, HOST)
  const options = { cwd: lab.project, pathToClaudeCodeExecutable: claude, ...more }
  const child = spawn(process.execPath, [host, JSON.stringify({ sdk, options })], {
    cwd: lab.project,
    env: lab.env,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += String(chunk)
    })
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  return {
    pid: child.pid!,
    child,
    ended,
    output: () => output,
    prompt: (text) => void child.stdin.write(`${JSON.stringify(text)}\n`),
    finish: () => void child.stdin.end(),
  }
}
