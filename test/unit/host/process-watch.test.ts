import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { identifyProcess, leaderOf, leadsGroup } from '../../../src/host/process/process.ts'
import { type Departure, watchProcess } from '../../../src/host/process/watch.ts'
import { temporaryDir } from '../../support/engine.ts'

let temporary: ReturnType<typeof temporaryDir>
const children: ChildProcess[] = []
const grandchildren: number[] = []
beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(() => {
  for (const pid of grandchildren.splice(0)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
  for (const child of children.splice(0)) child.kill('SIGKILL')
  temporary.remove()
})

/** A grandchild, which runs `script`, and whose parent reaps it or not. */
async function grandchild(script: string, reaps: boolean): Promise<number> {
  const after = reaps ? 'wait' : 'exec sleep 600'
  const child = spawn('sh', ['-c', `sh -c '${script}' & echo $!; ${after}`], { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(child)
  const [line] = await once(child.stdout!, 'data')
  const pid = Number(String(line))
  grandchildren.push(pid)
  return pid
}

/** Holds a script until it is opened: whoever is watched has not ended before that. */
function gate(): { wait: string; open(): void } {
  const path = join(temporary.path, `gate-${grandchildren.length}`)
  return { wait: `until [ -e ${path} ]; do sleep 0.02; done`, open: () => writeFileSync(path, '') }
}

function untilGone(pid: number): Promise<Departure> {
  return new Promise((resolve) => watchProcess(identifyProcess(pid)!, { gone: resolve }))
}

test('the end of a process that is not a child is seen; its code is the right one or none', async () => {
  // Its parent may be slow to reap it.
  const { wait, open } = gate()
  const gone = untilGone(await grandchild(`${wait}; exit 7`, true))
  open()
  const { code, signal } = await gone
  expect([null, 7]).toContain(code)
  expect(signal).toBe(null)
})

test.runIf(process.platform === 'linux')('a code or signal is told while the system still has it', async () => {
  // Not before its parent has become one that never reaps.
  const late = 'until read -r name < /proc/$PPID/comm && test $name = sleep; do sleep 0.02; done'
  for (const code of [7, 0]) {
    const { wait, open } = gate()
    const gone = untilGone(await grandchild(`${late}; ${wait}; exit ${code}`, false))
    open()
    expect(await gone).toEqual({ code, signal: null })
  }
  const pid = await grandchild(`${late}; exec sleep 600`, false)
  const gone = untilGone(pid)
  await expect.poll(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), { timeout: 30_000 }).toBe('sleep')
  process.kill(pid, 'SIGTERM')
  expect(await gone).toEqual({ code: null, signal: 'SIGTERM' })
})

test('a pid that has come round is another process', async () => {
  const me = identifyProcess(process.pid)!
  const how = await new Promise((resolve) => watchProcess({ ...me, start: `${me.start}0` }, { gone: resolve }))
  expect(how).toEqual({ code: null, signal: null })
})

test('one that is stopped, and goes on, is told so', async () => {
  const pid = await grandchild('exec sleep 600', true)
  const seen: boolean[] = []
  const stop = watchProcess(identifyProcess(pid)!, { gone: () => {}, stopped: (is) => seen.push(is) })
  process.kill(pid, 'SIGSTOP')
  await expect.poll(() => seen, { timeout: 30_000 }).toEqual([true])
  process.kill(pid, 'SIGCONT')
  await expect.poll(() => seen, { timeout: 30_000 }).toEqual([true, false])
  stop()
})

test('leaders of groups and threads', async () => {
  const child = spawn('sleep', ['600'], { detached: true })
  children.push(child)
  await once(child, 'spawn')
  expect(leadsGroup(child.pid!)).toBe(true)
  expect(leadsGroup(await grandchild('exec sleep 600', true))).toBe(false)
  expect(leaderOf(child.pid!)).toBe(child.pid)
  expect(leaderOf(2 ** 30)).toBe(null)
})
