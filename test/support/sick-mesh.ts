/** A mesh to break: with hooks installed among others' settings, a neighbour that must not be touched, and a doctor. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { eventually, meshBin, type RunOptions, TestMesh } from './mesh.ts'

export interface Finding {
  check: string
  ok: boolean
  detail: string
  fix: string | null
  fixable: boolean
  mended?: boolean
}

export interface Breakage {
  name: string
  /** Breaks the set-up. What it returns is done after the case. */
  harm(): Promise<unknown> | unknown
  /** The id under which doctor names it. */
  check: string
  /** By whom: doctor with --fix, the printed command, or (where that needs a person's eye) this. */
  mend: 'doctor' | 'command' | (() => Promise<unknown> | unknown)
  /** Of the commands that see the breakage. */
  env?: Record<string, string>
  cwd?: string
  /** Files below HOME that the mend may change. */
  mayChange?: string[]
  skip?: boolean
}

const others = {
  model: 'x',
  permissions: { allow: ['Bash(ls:*)'] },
  hooks: {
    Stop: [{ hooks: [{ type: 'command', command: 'say done' }] }],
    PreToolUse: [{ matcher: 'Bash', hooks: [{ type: 'command', command: 'check' }] }],
  },
}

export class SickMesh extends TestMesh {
  readonly neighbour = new TestMesh('neighbour')
  readonly settings: string
  readonly bin: string
  #neighbourPids: number[] = []
  #bystander: ChildProcess | undefined

  constructor() {
    super('sick')
    this.settings = join(this.root, 'home', '.claude', 'settings.json')
    this.bin = join(this.root, 'bin')
  }

  /** Programs that printed commands call: `mesh`, an editor that does what a person would, and a `sudo` that asks nobody. */
  override env(options: RunOptions = {}): Record<string, string> {
    const env = super.env(options)
    return { ...env, PATH: `${this.bin}:${env.PATH}`, EDITOR: join(this.bin, 'editor'), ...options.env }
  }

  async begin(): Promise<void> {
    mkdirSync(this.bin)
    this.program('mesh', `exec '${process.execPath}' '${meshBin}' "$@"`)
    this.program('sudo', 'exec "$@"')
    symlinkSync(super.env().MESH_ENGINE!, join(this.bin, 'nats-server'))
    mkdirSync(join(this.root, 'home', '.claude'), { recursive: true })
    writeFileSync(this.settings, JSON.stringify(others, null, 2))
    writeFileSync(join(this.root, 'home', 'notes.txt'), 'not ours\n')
    await this.json(['up'])
    await this.json(['install'])
    await this.join('tester')
    await this.neighbour.join('alice')
    this.#neighbourPids = this.neighbour.leftovers().map(({ pid }) => pid)
    this.#bystander = spawn('sleep', ['600'], { stdio: 'ignore' })
  }

  /** A session whose client is a sleeping process: the real hook starts its real sidecar. Resolves once it has joined. */
  async session(): Promise<{ pid: number; key: string; dir: string; end(): void }> {
    const client = spawn('sleep', ['600'], { stdio: 'ignore' })
    const pid = client.pid!
    const key = `cc-${pid}`
    const dir = join(this.home, 'run', key)
    this.hook(pid)
    await eventually(() => this.log(key).includes('on the mesh'), `the sidecar of ${key}`)
    return { pid, key, dir, end: () => client.kill('SIGKILL') }
  }

  /** Runs the hook that keeps a client's sidecar, as the client does. */
  hook(pid: number, script = join(this.home, 'hooks', 'claude-code.sh')): void {
    const { MESH_NAME: _, ...env } = this.env()
    spawn('sh', [script, 'sidecar', String(pid)], {
      cwd: this.cwd,
      env: { ...env, CLAUDE_PID: String(pid), CLAUDE_CODE_SESSION_ID: `session-${pid}`, CLAUDECODE: '1' },
      stdio: 'ignore',
      detached: true,
    }).unref()
  }

  log(key: string): string {
    const path = join(this.home, 'logs', `${key}.log`)
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  /** Processes on this home whose command line has `text`. */
  processes(text: string): number[] {
    return this.leftovers()
      .filter(({ command }) => command.includes(text))
      .map(({ pid }) => pid)
  }

  program(name: string, body: string): void {
    writeFileSync(join(this.bin, name), `#!/bin/sh\n${body}\n`)
    chmodSync(join(this.bin, name), 0o755)
  }

  /** A process that is nobody of mesh's. */
  get bystander(): number {
    return this.#bystander!.pid!
  }

  async doctor(args: string[] = [], options: RunOptions = {}): Promise<{ code: number | null; findings: Finding[] }> {
    const done = await this.run(['doctor', '--json', ...args], options)
    if (done.stdout === '') throw new Error(`mesh doctor printed nothing: ${done.stderr}`)
    return { code: done.code, findings: done.json }
  }

  /** Runs a printed command in a shell, and doctor behind it in the same shell: it may set a variable. */
  async type(
    command: string,
    options: RunOptions,
  ): Promise<{ code: number | null; findings: Finding[]; said: string }> {
    const script = `{ ${command}\n} >&2; mesh doctor --json`
    const child = spawn('/bin/sh', ['-c', script], { cwd: options.cwd ?? this.cwd, env: this.env(options) })
    const said = { out: '', err: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
    return { code, findings: JSON.parse(said.out), said: said.err }
  }

  /** A session notices what a store lost once that is mended: the loss is read, and then all is well. */
  async #well(options: RunOptions): Promise<{ code: number | null; findings: Finding[] }> {
    const seen = await this.doctor([], options)
    return seen.findings.some(({ ok, check }) => !ok && check === 'store.lost') ? this.doctor(['--fix'], options) : seen
  }

  /** Breaks, sees it named, mends it, sees all green, and nothing else touched. */
  async suffer({ harm, check, mend, env, cwd, mayChange = [] }: Breakage): Promise<void> {
    const options = { env, cwd }
    const undo = await harm()
    try {
      const before = this.snapshot()
      const sick = await this.doctor([], options)
      const named = sick.findings.find((finding) => finding.check === check && !finding.ok)
      expect(named, JSON.stringify(faults(sick.findings))).toBeDefined()
      expect(sick.code).toBe(4)
      expect(named!.fix).toBeTruthy()
      expect(named!.fixable).toBe(mend === 'doctor')
      expect(this.snapshot(), 'looking changes nothing').toEqual(before)
      if (mend === 'doctor') {
        const fixed = await this.doctor(['--fix'], options)
        expect(faults(fixed.findings)).toEqual([])
        expect(fixed.findings.find(({ mended }) => mended)).toMatchObject({ ok: true })
      } else if (mend === 'command') {
        const typed = await this.type(named!.fix!, options)
        expect(faults(typed.findings), typed.said).toEqual([])
      } else {
        // What --fix may not mend it leaves alone.
        await this.doctor(['--fix'], options)
        await mend()
      }
      if (mend !== 'command') {
        const well = await this.#well(mend === 'doctor' ? options : {})
        expect(faults(well.findings)).toEqual([])
        expect(well.code).toBe(0)
      }
      const kept = (files: Record<string, string>) =>
        Object.entries(files).filter(([path]) => !mayChange.some((one) => path === one || path.startsWith(`${one}/`)))
      expect(kept(this.snapshot())).toEqual(kept(before))
      this.checkOthers()
    } finally {
      if (typeof undo === 'function') await undo()
    }
  }

  /** Every file of HOME: its mode, and its content. */
  snapshot(): Record<string, string> {
    const top = join(this.root, 'home')
    const paths = readdirSync(top, { recursive: true, encoding: 'utf8' })
    return Object.fromEntries(
      paths.map((path) => {
        const stat = lstatSync(join(top, path))
        const content = stat.isFile()
          ? createHash('sha256')
              .update(readFileSync(join(top, path)))
              .digest('hex')
          : 'dir'
        return [path, `${stat.mode.toString(8)} ${stat.isFile() ? stat.mtimeMs : ''} ${content}`]
      }),
    )
  }

  /** The neighbour, the bystander and what others have in the settings are as they were. */
  checkOthers(): void {
    expect(this.neighbour.leftovers().map(({ pid }) => pid)).toEqual(this.#neighbourPids)
    expect(this.#bystander!.exitCode ?? this.#bystander!.signalCode).toBe(null)
    const settings = JSON.parse(readFileSync(this.settings, 'utf8'))
    const text = JSON.stringify(settings, (_, value) =>
      Array.isArray(value) ? value.filter((one) => !JSON.stringify(one).includes('# mesh')) : value,
    )
    const left = JSON.parse(text)
    expect(left).toMatchObject(others)
    const filled = Object.entries(left.hooks as object).filter(([, list]) => (list as unknown[]).length > 0)
    expect(Object.fromEntries(filled)).toEqual(others.hooks)
  }

  /** A small file system at `dir`; false where this user may not. */
  mount(dir: string, mb: number): boolean {
    const options = ['-t', 'tmpfs', '-o', `size=${mb}m,mode=0700`, 'mesh-doctor', dir]
    return spawnSync('mount', options, { stdio: 'ignore' }).status === 0
  }

  unmount(dir: string): void {
    spawnSync('umount', ['-l', dir], { stdio: 'ignore' })
  }

  override async dispose(): Promise<void> {
    this.#bystander?.kill('SIGKILL')
    await this.neighbour.dispose()
    await super.dispose()
  }
}

/** Records that a store lost are reported whenever a session notices, which may be after the store is mended. */
export function faults(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ ok, check }) => !ok && check !== 'store.lost')
    .map(({ check, detail }) => `${check}: ${detail}`)
}
