import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { drainOutbox } from '../../../../src/daemon/mail/drain.ts'
import { meshHome, nameDir } from '../../../../src/host/home.ts'
import { createLogger } from '../../../../src/host/log.ts'
import type { ProjectStore } from '../../../../src/nats/project-store.ts'
import { temporaryDir } from '../../../support/engine.ts'

test('drainOutbox - an outbox that cannot be opened is let go of', async () => {
  const { path, remove } = temporaryDir()
  const home = meshHome({ MESH_HOME: path })
  const dir = nameDir(home, 'p', 'api')
  // Not a file, and not empty.
  mkdirSync(join(dir, 'outbox.jsonl'), { recursive: true })
  writeFileSync(join(dir, 'outbox.jsonl', 'x'), '')
  const store = { project: 'p' } as ProjectStore
  await expect(
    drainOutbox(
      home,
      store,
      'api',
      createLogger('silent', () => {}),
    ),
  ).rejects.toThrow('EISDIR')
  expect(readdirSync(dir)).toEqual(['outbox.jsonl'])
  remove()
})
