/** What a person sees at a real terminal, which is 60 columns wide here. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { widthOf } from '../../../src/cli/show/width.ts'
import { meshBin, TestMesh } from '../../support/mesh.ts'

const COLUMNS = 60
/** Of util-linux: the one of other systems takes other arguments. */
const hasScript = /util-linux/.test(spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '')

let mesh: TestMesh
beforeAll(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('alice', 'bob')
  const { pid } = await mesh.json(['whoami'], { as: 'bob' })
  process.kill(pid, 'SIGTERM')
  await mesh.json(['wait', 'bob', '--until', 'end', '--timeout', '20s'], { as: 'alice' })
  await mesh.json(['task', 'add', `${'日本語'.repeat(20)} and more words`], { as: 'alice' })
  await mesh.run(['run', '--name', 'a-rather-long-name', '--', 'sh', '-c', 'exit 7'], { as: 'alice' })
})
afterAll(() => mesh.dispose())

function onScreen(words: string, env: Record<string, string> = {}): string {
  const command = `stty cols ${COLUMNS} rows 40; '${process.execPath}' '${meshBin}' ${words}`
  const options = {
    cwd: mesh.cwd,
    env: { ...mesh.env({ as: 'alice' }), TERM: 'xterm', NO_COLOR: '', ...env },
    encoding: 'utf8',
  } as const
  const done = spawnSync('script', ['-qec', command, '/dev/null'], options)
  expect(done.status).toBe(0)
  return done.stdout.replaceAll('\r\n', '\n')
}

test.skipIf(!hasScript)('no line of a listing or of help is wider than the terminal, and none ends in a space', () => {
  const views = [
    '',
    'ps',
    'ps --all -v',
    'ps --runs',
    'tree',
    'events',
    'task list',
    'state list',
    'help',
    'send --help',
  ]
  for (const words of views) {
    const lines = stripVTControlCharacters(onScreen(words)).split('\n')
    expect(lines.length, words).toBeGreaterThan(1)
    for (const line of lines) {
      // An example is to be copied as it is.
      if (!line.startsWith('  $ ')) expect(widthOf(line), `${words}: ${line}`).toBeLessThanOrEqual(COLUMNS)
      expect(line, words).toBe(line.trimEnd())
    }
  }
})

/** Types `keys` once the terminal shows `seen`. */
async function typed(words: string, seen: RegExp, keys: string) {
  const command = `stty cols ${COLUMNS} rows 40; '${process.execPath}' '${meshBin}' ${words}`
  const env = { ...mesh.env({ as: 'alice' }), TERM: 'xterm' }
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: mesh.cwd, env })
  let screen = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const isShown = seen.test(screen)
    screen += chunk.toString()
    if (!isShown && seen.test(screen)) child.stdin.write(keys)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, screen }
}

test.skipIf(!hasScript).each([
  ['ps', /alice/, 'q', 0],
  ['task list', /日本/, 'q', 0],
  ['ps', /alice/, '\x03', 130],
] as const)('%s --watch has a screen of its own, which a key leaves', async (words, seen, key, code) => {
  const done = await typed(`${words} --watch`, seen, key)
  expect(done.code).toBe(code)
  expect(done.screen).toMatch(/^\x1b\[\?1049h[\s\S]*\x1b\[\?1049l$/)
})

test.skipIf(!hasScript)('who is gone is one line, times are short, and colours go with NO_COLOR', () => {
  const screen = onScreen('ps')
  expect(screen).toMatch(/\x1b\[32malice +idle/)
  expect(screen).toMatch(/^1 gone, mesh ps --all$/m)
  expect(screen).not.toContain('bob')
  expect(onScreen('ps --all', { NO_COLOR: '1' })).toMatch(/^bob +gone +/m)
  expect(onScreen('events --utc')).toMatch(/^\d\d:\d\d:\d\dZ run_failed/m)
  expect(onScreen('events')).toMatch(/^\d\d:\d\d:\d\d run_failed/m)
})
