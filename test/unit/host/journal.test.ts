import * as fs from 'node:fs'
import { join } from 'node:path'
import { test as base, expect, vi } from 'vitest'
import { Journal } from '../../../src/host/journal.ts'
import { temporaryDir } from '../../support/engine.ts'

/** Paths that cannot be opened now, and what was brought to disk. */
const disk = vi.hoisted(() => ({ refused: new Set<string>(), opened: new Map<number, string>(), log: [] as string[] }))

vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof fs>()
  const openSync: typeof fs.openSync = (path, ...rest) => {
    if (disk.refused.has(String(path))) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
    const fd = real.openSync(path, ...rest)
    disk.opened.set(fd, String(path))
    return fd
  }
  const fsyncSync: typeof fs.fsyncSync = (fd) => {
    real.fsyncSync(fd)
    disk.log.push(`sync ${disk.opened.get(fd)}`)
  }
  const renameSync: typeof fs.renameSync = (from, to) => {
    real.renameSync(from, to)
    disk.log.push(`rename ${to}`)
  }
  return { ...real, openSync, fsyncSync, renameSync }
})

// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures are wanted
const test = base.extend('dir', async ({}, { onCleanup }) => {
  const { path, remove } = temporaryDir()
  onCleanup(() => {
    disk.refused.clear()
    disk.log.length = 0
    remove()
  })
  return path
})

test('journal - a rewrite that finds no free descriptor leaves the journal in its own file', ({ dir }) => {
  const path = join(dir, 'journal.jsonl')
  const { journal } = Journal.open(path)
  journal.append([{ t: 'one' }])
  disk.refused.add(path)
  try {
    journal.rewrite([{ t: 'whole' }])
  } catch {
    // Refusing is as good as succeeding without another descriptor.
  }
  disk.refused.clear()
  // The next file that is opened gets the lowest free number.
  const foreign = join(dir, 'foreign')
  const fd = fs.openSync(foreign, 'w')
  journal.append([{ t: 'two' }])
  fs.closeSync(fd)
  journal.close()
  expect(fs.readFileSync(foreign, 'utf8')).toBe('')
  expect(Journal.open<{ t: string }>(path).steps.at(-1)).toEqual({ t: 'two' })
})

test('journal - a rewrite without room leaves the old file, and the journal appends to it', ({ dir }) => {
  const path = join(dir, 'journal.jsonl')
  const { journal } = Journal.open(path)
  journal.append([{ t: 'one' }])
  disk.refused.add(`${path}.new`)
  expect(() => journal.rewrite([])).toThrow()
  journal.append([{ t: 'two' }])
  journal.close()
  expect(Journal.open(path).steps).toEqual([{ t: 'one' }, { t: 'two' }])
})

test('journal - a rewritten journal takes steps, and drops what a full disk cut short', ({ dir }) => {
  const path = join(dir, 'journal.jsonl')
  const { journal } = Journal.open(path)
  journal.append([{ t: 'one' }, { t: 'two' }])
  journal.rewrite([{ t: 'both' }])
  expect(journal.bytes).toBe(fs.statSync(path).size)
  journal.append([{ t: 'three' }])
  journal.close()
  expect(Journal.open(path).steps).toEqual([{ t: 'both' }, { t: 'three' }])
})

test('journal - a rewrite of more than fits in one write has every step in order', ({ dir }) => {
  const path = join(dir, 'journal.jsonl')
  const steps = Array.from({ length: 2000 }, (_, n) => ({ t: 'step', n, text: 'ü'.repeat(100) }))
  const { journal } = Journal.open(path)
  journal.rewrite(steps.values())
  journal.append([{ t: 'last' }])
  journal.close()
  expect(Journal.open(path).steps).toEqual([...steps, { t: 'last' }])
})

test('journal - a rewrite survives the machine: the directory is on disk after the rename', ({ dir }) => {
  const path = join(dir, 'journal.jsonl')
  const { journal } = Journal.open(path)
  journal.rewrite([{ t: 'whole' }])
  journal.close()
  const renamed = disk.log.indexOf(`rename ${path}`)
  expect(disk.log.slice(renamed)).toContain(`sync ${dir}`)
})
