/** Lost records are a fault until a person has put the list aside; the file may be damaged like any other. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { lookAtStore } from '../../../src/doctor/checks/store.ts'
import { Setup } from '../../../src/doctor/setup.ts'
import { MeshError } from '../../../src/errors.ts'
import { changeDamage, readDamage } from '../../../src/host/damage.ts'
import { meshHome } from '../../../src/host/home.ts'
import { temporaryDir } from '../../support/engine.ts'

const temporary = temporaryDir()
afterEach(() => temporary.remove())

function examined(): { setup: Setup; home: ReturnType<typeof meshHome> } {
  const env = { MESH_HOME: join(temporary.path, 'h') }
  const home = meshHome(env)
  for (const dir of [join(home.engine, 'data'), join(home.projects, 'shop')]) mkdirSync(dir, { recursive: true })
  const operator = () => {
    throw new MeshError('bad_name', 'nobody')
  }
  return { setup: new Setup({ env, home, cwd: temporary.path, operator, wake: false }), home }
}

test('doctor lists what each project lost, and since when, until --fix puts the list aside', async () => {
  const { setup, home } = examined()
  const at = '2026-11-30T12:00:00.000Z'
  await changeDamage(home, 'shop', ({ losses }) => {
    for (const what of ['all tasks', 'the last 3 messages']) losses.push({ at, what, isReported: true, isSeen: false })
  })
  const found = async () => (await lookAtStore(setup)).filter(({ check }) => check === 'store.lost')
  const [fault] = await found()
  expect(fault).toMatchObject({
    ok: false,
    detail: `project shop lost records: all tasks, the last 3 messages, noticed ${at}`,
    fix: 'mesh doctor --fix',
  })
  await fault!.mend!()
  expect(await found()).toEqual([])
})

test.each(['', '[]', '{"marks":{"a":7,"b":{"lastSeq":"x"}},"losses":[1,{"at":1}]}', '{"marks":null,"losses":{}}'])(
  'a damaged list (%j) reads as empty',
  (text) => {
    const { home } = examined()
    writeFileSync(join(home.projects, 'shop', 'damage.json'), text)
    expect(readDamage(home, 'shop')).toEqual({ marks: {}, losses: [] })
  },
)
