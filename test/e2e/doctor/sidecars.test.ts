/** Ways to break sidecars and to leave processes behind: each is named, mended or told, and nothing else is touched. */
import { spawn } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { buildOther } from '../../support/build.ts'
import { eventually, TestMesh } from '../../support/mesh.ts'
import { type Breakage, SickMesh } from '../../support/sick-mesh.ts'

const mesh = new SickMesh()
beforeAll(() => mesh.begin())
afterAll(() => mesh.dispose())

const run = (key: string) => join(mesh.home, 'run', key)

/** The operator's sidecar, there and answering. */
async function operator(): Promise<{ pid: number; dir: string }> {
  const { pid } = await mesh.json(['whoami'])
  return { pid, dir: mesh.runDir('tester') }
}

/** What changed just now is left in peace: make it some time ago. */
function age(dir: string): void {
  const then = Date.now() / 1000 - 60
  for (const path of [...readdirSync(dir).map((name) => join(dir, name)), dir]) utimesSync(path, then, then)
}

async function dead(...pids: number[]): Promise<void> {
  await eventually(() => pids.every((pid) => identifyProcess(pid) === null), `the end of ${pids}`)
}

async function killed(...pids: number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  await dead(...pids)
}

function inRun(key: string, files: Record<string, string>): string {
  mkdirSync(run(key), { mode: 0o700 })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(run(key), name), text, { mode: 0o600 })
  age(run(key))
  return run(key)
}

function lockOf(pid: number, over: object = {}): string {
  return JSON.stringify({ ...identifyProcess(pid), token: '0123456789abcdef', ...over })
}

/** A program that soon ends with 3 in place of the sidecar, and the hook script that starts it. */
function brokenHook(): string {
  const dir = join(mesh.root, 'broken')
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'sidecar.js'), 'setTimeout(() => process.exit(3), 1000)')
  const script = readFileSync(join(mesh.home, 'hooks', 'claude-code.sh'), 'utf8')
  writeFileSync(join(dir, 'claude-code.sh'), script.replace(/^sidecar='.*'$/m, `sidecar='${dir}/sidecar.js'`))
  return join(dir, 'claude-code.sh')
}

const ended: (() => void)[] = []

const breakages: Breakage[] = [
  {
    name: "an operator's sidecar that was killed",
    harm: async () => killed((await operator()).pid),
    check: 'sidecar.dead',
    mend: 'doctor',
  },
  {
    name: 'a session that was killed together with its sidecar',
    harm: async () => {
      const { pid, key, end } = await mesh.session()
      const { pid: other } = await operator()
      const pids = [...mesh.processes(`sidecar ${pid}`), ...mesh.processes(key), other]
      // The loop first, and the neighbour too: nobody is left to see it.
      await killed(...new Set(pids))
      end()
      await dead(pid)
    },
    check: 'sidecar.dead',
    mend: 'doctor',
  },
  {
    name: 'a sidecar that hangs',
    harm: async () => process.kill((await operator()).pid, 'SIGSTOP'),
    check: 'sidecar.paused',
    mend: 'doctor',
  },
  {
    name: 'a file in place of a socket, which a sidecar that lost its socket leaves alone',
    harm: async () => {
      const { dir } = await operator()
      rmSync(join(dir, 'sock'))
      writeFileSync(join(dir, 'sock'), '')
      age(dir)
    },
    check: 'sidecar.answers',
    mend: 'doctor',
  },
  {
    name: 'a sidecar of another protocol',
    harm: async () => {
      const { pid, dir } = await operator()
      await mesh.post('tester', '/v0/stop', '{}')
      await dead(pid)
      const other = buildOther({ version: '0.0.1', api: 0 })
      await mesh.run(['whoami'], { bin: join(other, 'bin', 'mesh.js') })
      expect(JSON.parse(readFileSync(join(dir, 'sidecar.json'), 'utf8')).version).toBe('0.0.1')
      return () => rmSync(other, { recursive: true })
    },
    check: 'sidecar.version',
    mend: 'doctor',
  },
  {
    name: 'a lock that a stranger holds',
    harm: () => inRun('op-0123456789abcdef', { lock: lockOf(mesh.bystander) }),
    check: 'sidecar.lock',
    mend: 'doctor',
  },
  {
    name: 'a lock of another host',
    harm: () => {
      const dir = inRun('op-fedcba9876543210', { lock: lockOf(mesh.bystander, { host: 'elsewhere', start: '1' }) })
      return () => rmSync(dir, { recursive: true, force: true })
    },
    check: 'sidecar.host',
    mend: 'command',
  },
  {
    name: "a witness's lock of another host",
    harm: async () => {
      await mesh.json(['down'])
      writeFileSync(join(mesh.home, 'run', 'witness.lock'), lockOf(mesh.bystander, { host: 'elsewhere', start: '1' }), {
        mode: 0o600,
      })
    },
    check: 'sidecar.host',
    mend: 'command',
  },
  {
    name: 'what a session left that never got as far as a record',
    harm: () => inRun('cc-999999999', { spool: 'x' }),
    check: 'sidecar.leftover',
    mend: 'doctor',
  },
  {
    name: 'a directory that was put aside and not removed',
    harm: () => mkdirSync(join(mesh.home, 'run', '.gone-0123456789abcdef'), { mode: 0o700 }),
    check: 'sidecar.leftover',
    mend: 'doctor',
  },
  {
    name: 'a sidecar that ends at every start',
    harm: async () => {
      const client = spawn('sleep', ['600'], { stdio: 'ignore' })
      ended.push(() => client.kill('SIGKILL'))
      mesh.hook(client.pid!, brokenHook())
      const failed = join(run(`cc-${client.pid}`), 'failed')
      await eventually(() => existsSync(failed), 'the failure')
      await eventually(() => !existsSync(failed), 'the next start')
      return () => rmSync(run(`cc-${client.pid}`), { recursive: true, force: true })
    },
    check: 'sidecar.restarts',
    // The person looks into the log, mends what it says and starts the session anew.
    mend: async () => {
      ended.pop()!()
      await eventually(() => mesh.processes('broken/claude-code.sh').length === 0, 'the end of the loop')
      for (const name of readdirSync(join(mesh.home, 'run'))) {
        if (name.startsWith('cc-')) rmSync(run(name), { recursive: true })
      }
    },
  },
  {
    name: 'a session whose hook is gone',
    harm: async () => {
      const { pid, key, dir, end } = await mesh.session()
      await killed(...mesh.processes(`claude-code.sh sidecar ${pid}`))
      await killed(...mesh.processes(key))
      age(dir)
      ended.push(end)
    },
    check: 'sidecar.lost',
    // The printed command starts a session: here it only ends.
    mend: async () => {
      ended.pop()!()
      await mesh.doctor(['--fix'])
    },
  },
  {
    name: 'a sidecar that crashes again and again',
    harm: async () => {
      await operator()
      const line = { level: 60, time: new Date().toISOString(), pid: 1, error: 'Error: a bug', msg: 'crashed' }
      for (let i = 0; i < 3; i++)
        appendFileSync(join(mesh.home, 'logs', 'op-1.log'), `${JSON.stringify(line)}\n`, { mode: 0o600 })
    },
    check: 'sidecar.crashes',
    mend: () => rmSync(join(mesh.home, 'logs', 'op-1.log')),
  },
  {
    name: 'a sidecar whose client is dead',
    harm: async () => {
      const { pid, key, end } = await mesh.session()
      const [sidecar] = mesh.processes(`sidecar.js claude-code`)
      // It cannot see the end, nor can its loop: both stand still.
      for (const one of [...mesh.processes(`sidecar ${pid}`), sidecar!]) process.kill(one, 'SIGSTOP')
      end()
      await dead(pid)
      expect(existsSync(run(key))).toBe(true)
    },
    check: 'orphans',
    mend: 'doctor',
  },
]

test.each(breakages)('$name', (breakage) => mesh.suffer(breakage))

test('an engine lock that is held for minutes is reported with its holder', async () => {
  const lock = join(mesh.home, 'engine', 'lock')
  writeFileSync(lock, lockOf(mesh.bystander), { mode: 0o600 })
  utimesSync(lock, Date.now() / 1000 - 600, Date.now() / 1000 - 600)
  const { findings } = await mesh.doctor()
  const detail = expect.stringContaining(`process ${mesh.bystander} (sleep 600)`)
  expect(findings.find(({ check }) => check === 'engine.lock')).toMatchObject({
    ok: false,
    detail,
    fix: `kill ${mesh.bystander}`,
  })
  rmSync(lock)
})

test('orphans of a removed home are reported and ended; those of a living home are not', async () => {
  const gone = new TestMesh('gone')
  await gone.join('bob')
  const pids = gone.leftovers().map(({ pid }) => pid)
  // Other suites on this machine may have orphans of their own.
  const orphans = async (...args: string[]) =>
    (await mesh.json(['orphans', ...args])).filter(({ home }: { home: string }) =>
      [mesh.home, gone.home].includes(home),
    )
  expect(await orphans()).toEqual([])
  rmSync(gone.home, { recursive: true, force: true })
  const found = await orphans()
  expect(found.map(({ pid }: { pid: number }) => pid).sort()).toEqual(pids.sort())
  for (const orphan of found) {
    expect(orphan).toMatchObject({
      home: gone.home,
      start: expect.any(String),
      evidence: expect.stringContaining('is gone'),
    })
    expect(orphan.command).toContain(gone.home)
  }
  const plain = await mesh.run(['orphans'])
  expect(plain.stdout).toContain('mesh orphans --end')
  const ended = await orphans('--end')
  expect(ended.map((orphan: { ended: boolean }) => orphan.ended)).toEqual(pids.map(() => true))
  await dead(...pids)
  mesh.checkOthers()
  rmSync(gone.root, { recursive: true, force: true })
})

test('nothing installed is no fault, and looking makes no file', async () => {
  const bare = new TestMesh('bare')
  const { code, json } = await bare.run(['doctor', '--json'])
  expect(code).toBe(0)
  expect(json.every((finding: { ok: boolean }) => finding.ok)).toBe(true)
  expect(json.find((finding: { check: string }) => finding.check === 'hooks').detail).toContain('not installed')
  expect(existsSync(bare.home)).toBe(false)
  expect(readdirSync(join(bare.root, 'home'))).toEqual([])
  expect((await bare.run(['doctor'])).stdout).toMatch(/^-- +hooks +not installed/m)
  await bare.dispose()
})

test('plain output names causes and commands, and what was mended', async () => {
  rmSync(join(mesh.home, 'hooks', 'claude-code.sh'))
  const sick = await mesh.run(['doctor'])
  expect(sick.stdout).toMatch(/^FAULT {2}hooks\.script: .*missing/m)
  expect(sick.stdout).toMatch(/mend it with: mesh install --script {3}\(or mesh doctor --fix\)/)
  expect(sick.stdout).toMatch(/1 fault; mesh doctor --fix mends 1 of them\n$/)
  const fixed = await mesh.run(['doctor', '--fix'])
  expect(fixed.code).toBe(0)
  expect(fixed.stdout).toMatch(/^mended {2}hooks\.script/m)
  expect(fixed.stdout).toMatch(/all is well\n$/)
})
