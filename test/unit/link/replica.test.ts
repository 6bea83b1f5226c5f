import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { Replica } from '../../../src/link/replica.ts'
import type { Change } from '../../../src/nats/bucket.ts'
import { temporaryDir } from '../../support/engine.ts'

/** A bucket whose changes are counted as they are read. */
class FakeBucket {
  createdAt = 'first'
  changes: Change<string>[] = []
  lastSeq = 0
  read = 0

  write(key: string, value: string | null): void {
    this.changes = this.changes.filter((change) => change.key !== key)
    this.changes.push({ key, value, revision: ++this.lastSeq, writtenAt: 0 })
  }

  async changesFrom(seq: number): Promise<Change<string>[]> {
    const found = this.changes.filter(({ revision }) => revision >= seq)
    this.read += found.length
    return found
  }

  async extent() {
    return { createdAt: this.createdAt, lastSeq: this.lastSeq }
  }
}

const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures are wanted
  .extend('path', async ({}, { onCleanup }) => {
    const { path, remove } = temporaryDir()
    onCleanup(remove)
    return join(path, 'snapshot.json')
  })

const open = (path: string, version = '1') =>
  new Replica<string>({ version, path, keeps: ({ value }) => value !== 'over' })
const valuesOf = async (replica: Replica<string>, bucket: FakeBucket) =>
  Object.fromEntries((await replica.read(bucket)).map(({ key, value }) => [key, value]))

test('replica - each look reads only what has changed since the last one', async ({ path }) => {
  const bucket = new FakeBucket()
  const replica = open(path)
  for (let i = 0; i < 100; i++) bucket.write(`k${i}`, 'v')
  expect(Object.keys(await valuesOf(replica, bucket))).toHaveLength(100)
  bucket.read = 0
  bucket.write('k5', 'new')
  bucket.write('k6', null)
  bucket.write('k7', 'over')
  expect(await valuesOf(replica, bucket)).toMatchObject({ k5: 'new', k8: 'v' })
  expect((await replica.read(bucket)).map(({ key }) => key)).toHaveLength(98)
  expect(bucket.read).toBe(3)
})

test('replica - a new one goes on from the snapshot that another one left', async ({ path }) => {
  const bucket = new FakeBucket()
  for (let i = 0; i < 300; i++) bucket.write(`k${i}`, i === 7 ? 'over' : 'v')
  await open(path).read(bucket)
  await expect.poll(() => JSON.parse(readFileSync(path, 'utf8')).next).toBe(301)
  bucket.read = 0
  bucket.write('k1', 'new')
  const values = await valuesOf(open(path), bucket)
  expect(Object.keys(values)).toHaveLength(299)
  expect(values).toMatchObject({ k1: 'new', k2: 'v' })
  expect(bucket.read).toBe(1)
})

test('replica - a snapshot of another bucket, another version, a later position or no sense is not believed', async ({
  path,
}) => {
  const bucket = new FakeBucket()
  for (let i = 0; i < 300; i++) bucket.write(`k${i}`, 'v')
  await open(path).read(bucket)
  await expect.poll(() => JSON.parse(readFileSync(path, 'utf8')).next).toBe(301)
  const again = new FakeBucket()
  again.createdAt = 'second'
  again.write('only', 'v')
  expect(await valuesOf(open(path), again)).toEqual({ only: 'v' })
  again.createdAt = 'first'
  expect(await valuesOf(open(path), again)).toEqual({ only: 'v' })
  bucket.read = 0
  await open(path, '2').read(bucket)
  expect(bucket.read).toBe(300)
  writeFileSync(path, '{"version":"1","createdAt":"fir')
  expect(Object.keys(await valuesOf(open(path), bucket))).toHaveLength(300)
})

test('replica - another connection to the same bucket reads on; to one that was made anew it begins again', async ({
  path,
}) => {
  const bucket = new FakeBucket()
  const replica = open(path)
  bucket.write('a', 'v')
  await replica.read(bucket)
  const same = Object.assign(new FakeBucket(), { changes: bucket.changes, lastSeq: bucket.lastSeq })
  same.write('b', 'v')
  expect(await valuesOf(replica, same)).toEqual({ a: 'v', b: 'v' })
  expect(same.read).toBe(1)
  const anew = Object.assign(new FakeBucket(), { createdAt: 'second' })
  anew.write('c', 'v')
  expect(await valuesOf(replica, anew)).toEqual({ c: 'v' })
})

test('replica - a look that is asked for after a write shows it, also while another look is under way', async ({
  path,
}) => {
  const bucket = new FakeBucket()
  const replica = open(path)
  bucket.write('a', 'v')
  const first = replica.read(bucket)
  await Promise.resolve()
  bucket.write('b', 'v')
  const [, second] = await Promise.all([first, replica.read(bucket)])
  expect(second.map(({ key }) => key)).toEqual(['a', 'b'])
})
