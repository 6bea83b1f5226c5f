/** Reads by position: what the server gives in pages comes whole. */
import { StorageType } from '@nats-io/jetstream'
import { expect } from 'vitest'
import { readFrom } from '../../../src/nats/direct.ts'
import { test } from '../../support/node.ts'

test('a read goes on after pages that the server ended early, at 8 MiB each', async ({ project }) => {
  const { nc, jsm } = await project.attacker()
  await jsm.streams.add({ name: 'wide', subjects: ['wide.>'], storage: StorageType.Memory, allow_direct: true })
  const bytes = Buffer.alloc(1024 * 1024, 'x')
  for (let n = 0; n < 80; n++) nc.publish('wide.a', bytes)
  await nc.request('wide.b', 'last')
  const found = await readFrom({ nc, jsm }, 'wide', 'wide.a')
  await jsm.streams.delete('wide')
  expect(found.map(({ seq }) => seq)).toEqual(Array.from({ length: 80 }, (_, n) => n + 1))
})
