import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

const KIB = 1024
const MIB = 1024 * KIB

let mesh: TestMesh
beforeAll(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('alice', 'bob')
})
afterAll(() => mesh.dispose())

test.each([
  ['256 KiB, inside the envelope', 256 * KIB],
  ['300 KiB, through the object store', 300 * KIB],
  ['8 MiB, the limit', 8 * MIB],
])('%s', async (_, bytes) => {
  const text = `${'0123456789abcdef'.repeat(bytes / 16 - 1)}the end of it\n.\n`
  expect(Buffer.byteLength(text)).toBe(bytes)
  const sent = await mesh.json(['send', 'bob', '-'], { as: 'alice', input: text })
  expect(sent.state).toBe('stored')
  const [message] = await mesh.json(['inbox'], { as: 'bob' })
  expect(message.id).toBe(sent.id)
  expect(message.text === text).toBe(true)
})

test('8 MiB and a byte are refused, and nothing is sent', async () => {
  const done = await mesh.run(['send', 'bob', '-', '--json'], { as: 'alice', input: 'x'.repeat(8 * MIB + 1) })
  expect(done).toMatchObject({ code: 2, stdout: '' })
  expect(done.error).toMatchObject({ code: 'too_large', hint: expect.stringContaining('file') })
  expect(await mesh.texts('bob')).toEqual([])
})

test('the limit counts bytes, not characters', async () => {
  const done = await mesh.run(['send', 'bob', '-', '--json'], { as: 'alice', input: '€'.repeat(3 * MIB) })
  expect(done.error.code).toBe('too_large')
})

test('a text whose JSON is six times as long', async () => {
  const text = '\x01'.repeat(256 * KIB)
  await mesh.json(['send', 'bob', '-'], { as: 'alice', input: text })
  const [message] = await mesh.json(['inbox'], { as: 'bob' })
  expect(message.text === text).toBe(true)
})

test('several large ones are all read', async () => {
  for (let i = 0; i < 5; i++) await mesh.json(['send', 'bob', '-'], { as: 'alice', input: `${i}${'x'.repeat(MIB)}` })
  const texts: string[] = []
  while (texts.length < 5) {
    const more = await mesh.texts('bob')
    expect(more.length).toBeGreaterThan(0)
    texts.push(...more)
  }
  expect(texts.map((text) => text[0])).toEqual(['0', '1', '2', '3', '4'])
})
