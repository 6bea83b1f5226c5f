/** Whether a project is known to be empty without asking anybody. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { isUnused, listNothing } from '../../../src/client/unused.ts'
import { meshHome, nameDir, runDir } from '../../../src/host/home.ts'

function newHome() {
  const root = mkdtempSync(join(tmpdir(), 'mesh-unused-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  return meshHome({ MESH_HOME: join(root, 'home'), HOME: root })
}

test('unused - a mesh home that is to be made, and other projects in it', () => {
  const home = newHome()
  expect(isUnused(home, 'p')).toBe(true)
  mkdirSync(nameDir(home, 'other', 'alice'), { recursive: true })
  expect(isUnused(home, 'p')).toBe(true)
  expect(isUnused(home, 'other')).toBe(false)
})

test('unused - not where something was run, which needs no session, and not known where no mesh home can be', () => {
  const home = newHome()
  const dir = runDir(home, 'r_12345678')
  mkdirSync(dir, { recursive: true })
  expect(isUnused(home, 'p')).toBe(false)
  writeFileSync(join(dir, 'spec.json'), JSON.stringify({ project: 'p' }))
  expect([isUnused(home, 'p'), isUnused(home, 'other')]).toEqual([false, true])
  writeFileSync(join(home.root, 'file'), '')
  expect(isUnused(meshHome({ MESH_HOME: join(home.root, 'file', 'home'), HOME: home.root }), 'p')).toBe(false)
})

test('unused - listings show nothing, what names one thing is left to a sidecar', () => {
  expect(listNothing('ps', {})).toEqual([])
  expect(listNothing('claims', { cwd: '/', path: 'src' })).toBeUndefined()
  expect(listNothing('whoami', {})).toBeUndefined()
})
