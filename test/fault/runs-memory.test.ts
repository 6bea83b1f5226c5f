/** A run whose command the kernel kills for want of memory says so: judged by the control group that both live in. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ended, FaultHome, MESH_JS } from '../support/fault/home.ts'

/** Room for a supervisor, not for the command. */
const LIMIT_BYTES = 300 * 1024 * 1024
const HOG = 'const kept = []; for (;;) kept.push(Buffer.alloc(8 << 20, 1))'

let home: FaultHome
let group: string | null = null
beforeAll(async () => {
  home = await FaultHome.make()
  await home.json('whoami', '--as', 'ann')
  group = makeGroup()
  if (!group) console.log('runs-memory: SKIPPED: this user may not limit the memory of a control group')
})
afterAll(async () => {
  await home.close()
  if (group) rmdirSync(group)
})

/** Of cgroup v1 or v2; null where there is none or it is not ours to make. */
function makeGroup(): string | null {
  const isV1 = existsSync('/sys/fs/cgroup/memory')
  const path = join(isV1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup', `mesh-test-${process.pid}`)
  try {
    mkdirSync(path)
    writeFileSync(join(path, isV1 ? 'memory.limit_in_bytes' : 'memory.max'), String(LIMIT_BYTES))
    return path
  } catch {
    return null
  }
}

test('out of memory is the reason, with what the kernel counted as evidence', async ({ skip }) => {
  if (!group) return skip()
  const words = [process.execPath, MESH_JS, 'run', '--json', '--', process.execPath, '-e', HOG]
  const child = spawn('sh', ['-c', 'echo $$ > "$0"; exec "$@"', join(group, 'cgroup.procs'), ...words], {
    cwd: home.work,
    env: { ...home.env, MESH_NAME: 'ann' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [stdout] = await Promise.all([text(child.stdout), ended(child)])
  const told = JSON.parse(stdout.trimEnd().split('\n').at(-1)!)
  expect(told).toMatchObject({ state: 'terminated', reason: 'out of memory', signal: 'SIGKILL' })
  const events = await home.run('events', '--run', told.runId, '--json', '--as', 'ann')
  const end = JSON.parse(events.stdout.trimEnd().split('\n').at(-1)!)
  expect(end.evidence).toMatch(
    /^the kernel killed for want of memory \(oom_kill \d+ → \d+\); its supervisor saw signal SIGKILL$/,
  )
})
