/** The shell blocks of the documents, run as a reader would run them: every line works. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { meshBin, TestMesh } from '../../support/mesh.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]
const scripts = pages
  .filter((page) => page.endsWith('.md'))
  .map((page): [string, string] => [page, blocksOf(page).join('\n')])

let mesh: TestMesh
beforeEach(() => {
  mesh = new TestMesh('readme')
})
afterEach(() => mesh.dispose())

/** Blocks marked ```sh are for running; those without a language are for reading. */
function blocksOf(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block!)
}

/** Runs a script with `mesh` on its PATH; resolves with what it printed. */
async function runScript(script: string): Promise<{ code: number; output: string }> {
  const bin = join(mesh.root, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'mesh'), `#!/bin/sh\nexec "${process.execPath}" "${meshBin}" "$@"\n`, { mode: 0o755 })
  const env = mesh.env()
  const child = spawn('sh', ['-eu', '-c', script], {
    cwd: mesh.cwd,
    env: { ...env, PATH: `${bin}:${env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const [code] = await once(child, 'close')
  return { code, output }
}

test('README.md has blocks to run', () => {
  expect(blocksOf('README.md').length).toBeGreaterThan(0)
})

test.each(scripts.filter(([, script]) => script !== ''))('%s - every shell block runs', async (_, script) => {
  const { code, output } = await runScript(script)
  expect(code, output).toBe(0)
})

test('README.md - the sixty seconds show what they promise', async () => {
  const { output } = await runScript(blocksOf('README.md').join('\n'))
  expect(output).toContain('the schema landed')
  expect(output).toMatch(/^web\b/m)
  expect(output).toContain('port the parser')
  expect(output).toContain('built')
})
