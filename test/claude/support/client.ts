/**
 * The real Claude Code client for the suite: installed into a cache outside the tree, cut off from the machine's own
 * configuration and credentials, driven in tmux, headless or over stream-json. Whatever is started here is ended here,
 * by pid.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'

export const clientVersion = '2.1.329'
/** Loads modules of plugins, as the one before does. */
export const newestVersion = '2.1.332'
/** Has neither an inbox socket nor CLAUDE_PID. What npm installs on Node 20 when no version is named. */
export const olderVersion = '2.1.197'

/** Opens nothing. The client lists approved keys by their last 20 characters. */
const DUMMY_KEY = `sk-ant-api03-${'0'.repeat(60)}-MESHTEST`
const INSTALL_TIMEOUT_MS = 600_000

/** The client's executable of that version, installed if need be; or why there is none. */
export function findClient(version: string): { path: string } | { missing: string } {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sessionmesh-test')
  const dir = join(cache, `claude-code-${version}`)
  const path = join(dir, 'node_modules', '.bin', 'claude')
  if (!existsSync(path)) {
    const failure = install(cache, dir, version)
    if (failure) return { missing: failure }
  }
  const shown = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 60_000 })
  if (shown.status !== 0 || !shown.stdout.includes(version)) {
    return { missing: `${path} --version gave ${shown.status ?? shown.signal}: ${shown.stdout}${shown.stderr}` }
  }
  return { path }
}

/** Beside first and then in place: a second run never sees half of it. */
function install(cache: string, dir: string, version: string): string | undefined {
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, 'install-'))
  const args = ['install', '--prefix', fresh, '--no-audit', '--no-fund', `@anthropic-ai/claude-code@${version}`]
  const run = spawnSync('npm', args, { encoding: 'utf8', timeout: INSTALL_TIMEOUT_MS })
  if (run.status !== 0) {
    rmSync(fresh, { recursive: true, force: true })
    return `npm ${args.join(' ')} failed: ${(run.stderr || String(run.error)).slice(-500)}`
  }
  rmSync(dir, { recursive: true, force: true })
  renameSync(fresh, dir)
  return undefined
}

export function hasTmux(): boolean {
  return spawnSync('tmux', ['-V']).status === 0
}

export interface Lab {
  /** Everything of the lab is below it. */
  root: string
  home: string
  configDir: string
  settings: string
  project: string
  meshHome: string
  /** Nothing of the caller's but PATH: no CLAUDE*, ANTHROPIC*, MESH_*. */
  env: Record<string, string>
}

/**
 * The shell that the client finds: MESH_TEST_SHELL, such as bash, zsh or dash. It takes what SHELL names where the name is
 * a bash's or a zsh's, and otherwise looks for zsh and then for bash; without one it has no Bash tool (2.1.329).
 */
function shellIn(root: string): { SHELL?: string } {
  const name = process.env.MESH_TEST_SHELL
  if (!name) return {}
  const link = join(root, name === 'zsh' ? 'zsh' : 'bash')
  symlinkSync(execFileSync('which', [name], { encoding: 'utf8' }).trim(), link)
  return { SHELL: link }
}

/** A home, a configuration folder past its first-run dialogs, and an empty repository, in a directory of their own. */
export function makeLab(modelUrl: string, within: string = tmpdir()): Lab {
  const root = realpathSync(mkdtempSync(join(within, 'mc-')))
  const [home, configDir, project, meshHome] = ['home', 'config', 'project', 'mesh'].map((name) =>
    join(root, name),
  ) as [string, string, string, string]
  for (const dir of [home, configDir, project]) mkdirSync(dir, { mode: 0o700 })
  execFileSync('git', ['init', '-q', '-b', 'main', project])
  const settings = join(configDir, 'settings.json')
  writeFileSync(settings, JSON.stringify(settingsOf(), null, 2))
  writeFileSync(join(configDir, '.claude.json'), JSON.stringify(firstRunDone(project), null, 2))
  const env = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: home,
    TERM: 'xterm-256color',
    LANG: 'C.UTF-8',
    ...shellIn(root),
    MESH_HOME: meshHome,
    CLAUDE_CONFIG_DIR: configDir,
    ANTHROPIC_API_KEY: DUMMY_KEY,
    ANTHROPIC_BASE_URL: modelUrl,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
    CLAUDE_CODE_MAX_RETRIES: '1',
    IS_SANDBOX: '1',
  }
  return { root, home, configDir, settings, project, meshHome, env }
}

/** Auto mode, the default, asks the real server whether a tool call is safe: it cannot work with a scripted model. */
function settingsOf() {
  return {
    skipDangerousModePermissionPrompt: true,
    permissions: { defaultMode: 'default', allow: ['Bash', 'Read', 'Agent'] },
  }
}

function firstRunDone(project: string) {
  return {
    hasCompletedOnboarding: true,
    theme: 'dark',
    numStartups: 5,
    hasSeenAutoDefaultNudge: true,
    hasSeenAutoModeEntryWarning: true,
    customApiKeyResponses: { approved: [DUMMY_KEY.slice(-20)], rejected: [] },
    projects: { [project]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } },
  }
}

export interface StartOptions {
  bypass?: boolean
  /** A command that sets something up and becomes the client (headless only). */
  wrap?: string[]
  args?: string[]
  env?: Record<string, string>
}

export interface Interactive {
  pid: number
  type(text: string): void
  press(key: string): void
  screen(): string
}

/** A private tmux server: sessions of the machine's own are neither seen nor touched. */
export class Terminal {
  readonly #lab: Lab
  readonly #claude: string
  readonly #socket: string
  readonly #config: string
  #count = 0
  readonly #pids: number[] = []

  constructor(lab: Lab, claude: string) {
    this.#lab = lab
    this.#claude = claude
    this.#socket = join(lab.root, 'tmux')
    this.#config = join(lab.root, 'tmux.conf')
    // It would end with its last session, while the next one is being started.
    writeFileSync(this.#config, 'set -g exit-empty off\n')
  }

  /** Starts an interactive session and waits for its prompt. */
  async start(options: StartOptions = {}): Promise<Interactive> {
    const name = `s${++this.#count}`
    const command = [this.#claude, ...argsOf(options)]
    const env = Object.entries({ ...this.#lab.env, ...options.env }).map(([key, value]) => `${key}=${value}`)
    const line = ['exec', 'env', '-i', ...env, ...command].map(quoteWord).join(' ')
    this.#tmux('new-session', '-d', '-s', name, '-x', '160', '-y', '50', '-c', this.#lab.project, line)
    const pid = Number(this.#tmux('list-panes', '-t', name, '-F', '#{pane_pid}'))
    this.#pids.push(pid)
    const screen = () => this.#tmux('capture-pane', '-p', '-t', name)
    await eventually('the prompt is shown', () => screen().includes('❯'))
    const keys = (...args: string[]) => void this.#tmux('send-keys', '-t', name, ...args)
    return { pid, screen, press: (key) => keys(key), type: (text) => keys('-l', '--', text) }
  }

  /** Ends what is left of the sessions, then the server. */
  close(): void {
    for (const pid of this.#pids) kill(pid, 'SIGKILL')
    spawnSync('tmux', ['-S', this.#socket, 'kill-server'])
  }

  #tmux(...args: string[]): string {
    const { TMUX: _, ...env } = process.env
    return execFileSync('tmux', ['-S', this.#socket, '-f', this.#config, ...args], { encoding: 'utf8', env }).trimEnd()
  }
}

/** Types a line and sends it off, once the input shows it. */
export async function submit(session: Interactive, text: string): Promise<void> {
  session.type(text)
  await eventually('the input shows the text', () => session.screen().includes(text.slice(-40)))
  session.press('Enter')
}

export interface Headless {
  pid: number
  child: ChildProcess
  output(): string
  /** Resolves to the exit code once the client has ended. */
  ended: Promise<number | null>
}

/** `claude -p PROMPT`. */
export function runPrint(lab: Lab, claude: string, prompt: string, options: StartOptions = {}): Headless {
  return headless(lab, [claude, '-p', prompt, ...argsOf(options)], options)
}

export interface Streaming extends Headless {
  prompt(text: string): void
  /** No more input: the client ends. */
  finish(): void
}

/** `claude -p --input-format stream-json`: stays for as many prompts as it is given. */
export function runStreaming(lab: Lab, claude: string, options: StartOptions = {}): Streaming {
  const formats = ['--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose']
  const run = headless(lab, [claude, '-p', ...formats, ...argsOf(options)], options, true)
  return {
    ...run,
    prompt: (text) => {
      run.child.stdin!.write(`${JSON.stringify({ type: 'user', message: { role: 'user', content: text } })}\n`)
    },
    finish: () => void run.child.stdin!.end(),
  }
}

function headless(lab: Lab, command: string[], options: StartOptions, input = false): Headless {
  const [program, ...args] = [...(options.wrap ?? []), ...command]
  const child = spawn(program!, args, {
    cwd: lab.project,
    env: { ...lab.env, ...options.env },
    stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += String(chunk)))
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  return { pid: child.pid!, child, output: () => output, ended }
}

function argsOf(options: StartOptions): string[] {
  return [...(options.bypass ? ['--permission-mode', 'bypassPermissions'] : []), ...(options.args ?? [])]
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it had ended
  }
}

/** Pids of the processes with `needle` in their command line or environment (Linux; command line only elsewhere). */
export function processesWith(needle: string): { pid: number; command: string }[] {
  const listed = execFileSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8', maxBuffer: 16 << 20 })
  return listed
    .split('\n')
    .map((line) => /^\s*(\d+) (.*)$/.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ pid: Number(match[1]), command: match[2]! }))
    .filter(
      ({ pid, command }) => pid !== process.pid && (command.includes(needle) || environment(pid).includes(needle)),
    )
}

function environment(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8')
  } catch {
    return ''
  }
}

function quoteWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
