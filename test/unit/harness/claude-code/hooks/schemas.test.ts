import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { hookEvent, registryEntry } from '../../../../../src/harness/claude-code/hooks/event.schema.ts'

const fixtures = new URL('../../../../fixtures/claude-code/', import.meta.url)
const read = (name: string) => JSON.parse(readFileSync(new URL(name, fixtures), 'utf8')) as Record<string, unknown>

test.each(readdirSync(new URL('hooks/', fixtures)))('hook event - %s as recorded is accepted', (name) => {
  const raw = read(`hooks/${name}`)
  const parsed = hookEvent.parse(raw)
  expect(parsed.hook_event_name).toBe(name.split('.')[0])
  expect(parsed.session_id).toBe(raw.session_id)
  expect(parsed.agent_id).toBe(raw.agent_id)
})

test('hook event - fields and events of newer clients are accepted', () => {
  expect(hookEvent.parse({ hook_event_name: 'Later', session_id: 's', news: { deep: [1] } }).session_id).toBe('s')
})

test.each([
  ['no session', { hook_event_name: 'Stop' }],
  ['a number as session', { hook_event_name: 'Stop', session_id: 1 }],
  ['a list', []],
  ['null', null],
])('hook event - %s is refused', (_, value) => {
  expect(hookEvent.safeParse(value).success).toBe(false)
})

test('registry - the recorded entry is read; one without a status is an entry too', () => {
  expect(registryEntry.parse(read('session-registry.json'))).toMatchObject({
    status: 'idle',
    statusUpdatedAt: 1795221375690,
  })
  expect(registryEntry.parse({ pid: 1 }).status).toBeUndefined()
})
