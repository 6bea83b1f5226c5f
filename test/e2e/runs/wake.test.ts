/** The end of a run comes to its owner as mail does: by a waiting call or the inbox, once, and kept while it is away. */
import { createHash } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, meshBin, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('tester')
})
afterEach(() => mesh.dispose())

async function detach(script: string): Promise<string> {
  return (await mesh.json(['run', '--detach', '--name', 'build', '--', 'sh', '-c', script])).runId
}

async function untilOver(runId: string, onlooker: string): Promise<void> {
  await eventually(async () => {
    const runs = await mesh.json(['tree'], { as: onlooker })
    return runs.find((run: { runId: string; state: string }) => run.runId === runId)?.state === 'failed'
  }, 'the end')
}

test('the owner reads the end once, with its reason and last words', async () => {
  const runId = await detach('sleep 0.5; echo boom >&2; exit 7')
  const waiting = await mesh.json(['wait', '--timeout', '20s'])
  expect(waiting.text).toMatch(new RegExp(`^${runId.slice(0, 12)} build failed: exit 7 after \\d+\\.\\d s\\nboom$`))
  expect(waiting).toMatchObject({ verified: true, repeat: false, to: `run:${runId}` })
  expect(await mesh.json(['inbox'])).toEqual([])
})

test('an end that a waiting call returned is not reported again, nor one awaited at the terminal', async () => {
  const runId = await detach('sleep 0.5; exit 7')
  expect((await mesh.run(['wait', runId, '--json'])).code).toBe(10)
  await mesh.run(['run', '--', 'sh', '-c', 'exit 3'])
  const marker = await detach('exit 9')
  const texts = await eventually(async () => {
    const messages = await mesh.json(['inbox', '--peek'])
    return messages.length > 0 && messages.map(({ text }: { text: string }) => text)
  }, 'the marker')
  expect(texts).toEqual([expect.stringContaining(marker.slice(0, 12))])
})

test('an owner whose sidecar and engine were killed is notified once when it is back', async () => {
  await mesh.join('onlooker')
  const runId = await detach('sleep 1; echo boom >&2; exit 7')
  await mesh.signal('tester', 'SIGKILL')
  process.kill((await mesh.json(['status'])).pid, 'SIGKILL')
  await untilOver(runId, 'onlooker')
  const texts = await eventually(async () => {
    const messages = await mesh.texts('tester')
    return messages.length > 0 && messages
  }, 'the end')
  expect(texts).toEqual([expect.stringMatching(/build failed: exit 7 after .*\nboom$/)])
  await mesh.signal('tester', 'SIGKILL')
  await mesh.join('tester')
  expect(await mesh.json(['inbox'])).toEqual([])
})

test('an owner is notified of ends also when the store was removed meanwhile', async () => {
  for (let i = 0; i < 3; i++) await mesh.run(['run', '--', 'true'])
  const { dataDir } = await mesh.json(['status'])
  await mesh.signal('tester', 'SIGKILL')
  await mesh.json(['down'])
  rmSync(dataDir, { recursive: true })
  await mesh.json(['up'])
  await mesh.join('tester')
  const runId = await detach('exit 7')
  const waiting = await mesh.json(['wait', '--timeout', '20s'])
  expect(waiting.to).toBe(`run:${runId}`)
})

test('simultaneous ends are all reported, each once', async () => {
  const runs = await Promise.all(Array.from({ length: 5 }, (_, i) => detach(`exit ${i + 1}`)))
  const seen = new Set<string>()
  await eventually(async () => {
    for (const { to } of await mesh.json(['inbox'])) {
      expect(seen.has(to)).toBe(false)
      seen.add(to)
    }
    return seen.size === runs.length
  }, 'five ends')
  expect([...seen].sort()).toEqual(runs.map((run) => `run:${run}`).sort())
})

test('trace shows a run from its cause to its owner’s reading, each step with its evidence', async () => {
  const runId = await detach('sleep 0.3; echo boom >&2; exit 7')
  expect((await mesh.json(['wait', '--timeout', '20s'])).text).toContain('exit 7')
  const told = await eventually(async () => {
    const trace = await mesh.json(['trace', runId])
    return trace.steps.at(-1).state === 'surfaced' && trace
  }, 'the end to be told as read')
  expect(told).toMatchObject({ id: runId, name: 'build', owner: 'tester', state: 'failed' })
  expect(told.steps.map(({ state, by }: { state: string; by: string }) => `${state} ${by}`)).toEqual([
    'started build',
    'spawned tester',
    'stored engine',
    'failed tester',
    'stored engine',
    'delivered tester',
    'surfaced tester',
  ])
  expect(told.steps[3].evidence).toBe('exit 7; its supervisor saw exit 7')
  expect(told.steps.every(({ at }: { at: string }) => !Number.isNaN(Date.parse(at)))).toBe(true)
  // What a waiting call told, nobody is told again.
  const awaited = await detach('sleep 0.5; exit 8')
  await mesh.run(['wait', awaited])
  const last = await eventually(async () => {
    const { steps } = await mesh.json(['trace', awaited], { as: 'onlooker' })
    return steps.at(-1).state === 'surfaced' && steps.at(-1)
  }, 'the end to be told as read')
  expect(last).toMatchObject({ by: 'tester', evidence: 'returned by a waiting call' })
  for (const run of [runId.slice(0, 12), 'build']) {
    expect((await mesh.run(['trace', run])).stdout).toMatch(/^r_\w+ build of tester, failed\n {2}\S+Z {2}started/)
  }
})

test('a renamed owner is notified of the runs that it had before', async () => {
  const gate = join(mesh.root, 'gate')
  const runId = await detach(`until [ -e ${gate} ]; do sleep 0.05; done; exit 7`)
  await mesh.json(['rename', 'renamed'])
  writeFileSync(gate, '')
  const waiting = await mesh.json(['wait', '--timeout', '20s'], { as: 'renamed' })
  expect(waiting).toMatchObject({ to: `run:${runId}`, text: expect.stringContaining('build failed: exit 7') })
  expect(await mesh.json(['inbox'], { as: 'renamed' })).toEqual([])
})

test('no message can pass for the news of a run and keep it away', async () => {
  await mesh.join('peer')
  const gate = join(mesh.root, 'gate')
  const runId = await detach(`until [ -e ${gate} ]; do sleep 0.05; done; exit 7`)
  const id = `m_${createHash('sha256').update(`end of ${runId}`).digest('hex').slice(0, 32)}`
  const sent = await mesh.post('peer', '/v0/send', JSON.stringify({ id, to: 'tester', text: 'nothing to see' }))
  expect(sent.status).toBe(200)
  await eventually(async () => (await mesh.json(['inbox'])).length === 1, 'the message')
  writeFileSync(gate, '')
  expect(await mesh.json(['wait', '--timeout', '20s'])).toMatchObject({ to: `run:${runId}` })
})

test('progress wakes only an owner who asked for it, and can be waited for', async () => {
  const [one, two] = [join(mesh.root, 'one'), join(mesh.root, 'two')]
  const progress = `'${process.execPath}' '${meshBin}' progress`
  const wait = (path: string) => `until [ -e ${path} ]; do sleep 0.05; done`
  const script = `${wait(one)}; ${progress} one; ${wait(two)}; while :; do ${progress} two; done`
  const start = ['run', '--detach', '--name', 'work', '--notify', 'progress', '--', 'sh', '-c', script]
  const { runId } = await mesh.json(start)
  const silent = await detach(script)
  writeFileSync(one, '')
  const told = await mesh.json(['wait', '--timeout', '20s'])
  expect(told).toMatchObject({ to: `run:${runId}`, text: `${runId.slice(0, 12)} work progress\none` })
  await eventually(async () => {
    const runs = await mesh.json(['tree'])
    return runs.every(({ text }: { text?: string }) => text === 'one')
  }, 'the progress of both')
  expect(await mesh.json(['inbox', '--peek'])).toEqual([])
  const waiting = mesh.start(['wait', runId, silent, '--until', 'progress', '--all', '--json', '--timeout', '20s'])
  writeFileSync(two, '')
  const { stdout } = await waiting.finished
  const events = stdout.trim().split('\n')
  expect(events.map((line) => JSON.parse(line).text)).toEqual(['two', 'two'])
  for (const run of [runId, silent]) await mesh.json(['stop', run])
})
