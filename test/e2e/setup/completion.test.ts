/** Completion, by the real shells that are installed here, and the hidden command behind it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { meshBin, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
let bin: string
let task: string
beforeAll(async () => {
  mesh = new TestMesh()
  bin = join(mesh.root, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'mesh'), `#!/bin/sh\nexec '${process.execPath}' '${meshBin}' "$@"\n`)
  chmodSync(join(bin, 'mesh'), 0o755)
  await mesh.json(['up'])
  await mesh.join('alice', 'bob')
  await mesh.json(['topic', 'join', 'builds'], { as: 'bob' })
  task = (await mesh.json(['task', 'add', 'port the parser'], { as: 'alice' })).id
  await mesh.json(['run', '--name', 'nightly', '--', 'true'], { as: 'alice' })
  writeFileSync(join(mesh.cwd, 'notes.txt'), '')
})
afterAll(() => mesh.dispose())

/** The first column of what may come next. */
async function words(...typed: string[]): Promise<string[]> {
  const done = await mesh.run(['__complete', ...typed])
  expect(done).toMatchObject({ code: 0, stderr: '' })
  return done.stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')[0]!]))
}

function shell(command: string, args: string[]): string {
  const env = { ...mesh.env(), PATH: `${bin}:${process.env.PATH}` }
  const done = spawnSync(command, args, { cwd: mesh.cwd, env, encoding: 'utf8' })
  expect(done).toMatchObject({ status: 0, stderr: '' })
  return done.stdout
}

function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
}

test('commands, their second words, flags and the values of flags', async () => {
  expect(await words('sta')).toEqual(['status', 'state'])
  expect(await words('task', 'cl')).toEqual(['claim'])
  expect(await words('help', 'ta')).toEqual(['task'])
  expect(await words('budget', 're')).toEqual(['resume'])
  expect(await words('send', 'x', '--th')).toEqual(['--thread'])
  expect(await words('wait', '--until', 'i')).toEqual(['idle'])
  expect(await words('send', 'bob', '--', '')).toEqual([])
})

test('names of sessions, recipients, runs and tasks', async () => {
  expect(await words('alive', '')).toEqual(['alice', 'bob'])
  expect(await words('--as', 'b')).toEqual(['bob'])
  expect(await words('send', 'alice', 't')).toEqual(['topic:builds'])
  expect(await words('wait', '')).toEqual(['alice', 'bob', 'nightly'])
  expect(await words('logs', 'n')).toEqual(['nightly'])
  expect(await words('task', 'done', 't_')).toEqual([task.slice(0, 10)])
  expect(await words('claim', '')).toEqual([':files'])
})

test('what cannot be asked is left out: nothing is started and nothing said', async () => {
  const quiet = new TestMesh()
  try {
    expect(await quiet.run(['__complete', 'send', ''])).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const broken = { env: { MESH_PROJECT: '../x', MESH_HOME: 'relative' } }
    expect(await quiet.run(['__complete', 'send', ''], broken)).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(quiet.leftovers()).toEqual([])
  } finally {
    await quiet.dispose()
  }
})

test.skipIf(!isInstalled('bash'))('bash completes commands, names with colons, and files', () => {
  const ask = `ask() { COMP_LINE=$1 COMP_POINT=\${#1}; _mesh; echo "\${COMPREPLY[*]}"; }`
  const typed = ['mesh sta', 'mesh alive ', 'mesh send topic:b', 'mesh claim no']
  const script = `eval "$(mesh completion bash)"; ${ask}; ${typed.map((line) => `ask '${line}'`).join('; ')}`
  expect(shell('bash', ['--norc', '-c', script]).split('\n')).toEqual([
    ...['status state', 'alice bob', 'builds', 'notes.txt', ''],
  ])
})

test.skipIf(!isInstalled('zsh'))('zsh completes commands and names, with what they are', () => {
  const stubs = `compdef() { : }; _files() { print FILES }; _describe() { print -r -- \${(j:, :)found} }`
  const ask = 'ask() { words=("$@"); CURRENT=$#; _mesh }'
  const typed = ['ask mesh alive ""', 'ask mesh send topic:b', 'ask mesh claim no']
  const script = `${stubs}; ${ask}; eval "$(mesh completion zsh)"; ${typed.join('; ')}`
  expect(shell('zsh', ['-f', '-c', script]).split('\n')).toEqual([
    ...['alice:idle, bob:idle', 'topic\\:builds:a topic', 'FILES', ''],
  ])
})

test.skipIf(!isInstalled('fish'))('fish completes commands and names, with what they are', () => {
  const script = "mesh completion fish | source; complete -C 'mesh alive '; complete -C 'mesh claim no'"
  expect(shell('fish', ['--no-config', '-c', script])).toBe('alice\tidle\nbob\tidle\nnotes.txt\n')
})
