/** `mesh ping` and the doors in `mesh ps`, by the command alone. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(() => {
  mesh = new TestMesh()
})
afterEach(() => mesh.dispose())

test('ping - a gone session, an unknown name and a session without a door have exit codes of their own', async () => {
  await mesh.join('api', 'web')
  const answered = await mesh.run(['ping', 'web'], { as: 'api' })
  expect(answered.stdout).toMatch(/^web answered in [\d.]+ ms: idle, answered by its sidecar\n$/)
  expect(answered.code).toBe(0)
  expect(await mesh.json(['ping', 'web'], { as: 'api' })).toMatchObject({ name: 'web', door: null, state: 'delivered' })
  expect(await mesh.texts('web')).toEqual([])
  const closed = await mesh.run(['ping', 'web', '--wake', '--json'], { as: 'api' })
  expect([closed.code, closed.error.code, closed.json.state]).toEqual([4, 'conflict', null])
  expect((await mesh.run(['ping', 'nobody'], { as: 'api' })).code).toBe(3)
  expect((await mesh.run(['ping', 'Not A Name'], { as: 'api' })).code).toBe(2)
  await mesh.signal('web', 'SIGTERM')
  await eventually(async () => (await mesh.status('web', 'api')) === 'gone', 'web gone')
  const gone = await mesh.run(['ping', 'web', '--json'], { as: 'api' })
  expect([gone.code, gone.error.code, gone.json.status]).toEqual([4, 'not_alive', 'gone'])
})

test('ping - a frozen session: exit 124, with its last known state', async () => {
  await mesh.join('api', 'web')
  const { pid } = await mesh.json(['whoami'], { as: 'web' })
  process.kill(pid, 'SIGSTOP')
  const late = await mesh.run(['ping', 'web', '--timeout', '300ms', '--json'], { as: 'api' })
  process.kill(pid, 'SIGCONT')
  expect([late.code, late.error.code, late.json.state]).toEqual([124, 'timeout', 'stored'])
})

test('a waiting call is a door, proven by a ping, and ps shows both', async () => {
  await mesh.join('api', 'web')
  const waiting = mesh.start(['wait'], { as: 'web' })
  const wake = async () => {
    const table = (await mesh.run(['ps'], { as: 'api' })).stdout.split('\n')
    const at = table[0]!.indexOf('WAKE')
    return table
      .find((line) => line.startsWith('web'))!
      .slice(at)
      .split(/ {2,}/)[0]!
  }
  await eventually(async () => (await wake()) === 'waiting-call available', 'the waiting call')
  const pinged = await mesh.run(['ping', 'web', '--wake'], { as: 'api' })
  expect(pinged.stdout).toMatch(/^web read it through waiting-call in [\d.]+ ms: idle, printed by the mesh command\n$/)
  expect((await waiting.finished).stdout).toContain('mesh ping from api, no answer needed')
  await eventually(async () => (await wake()) === 'none', 'no door')
  mesh.start(['wait'], { as: 'web' })
  await eventually(async () => /^waiting-call proven \d+s ago$/.test(await wake()), 'proven')
})
