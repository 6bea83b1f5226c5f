/** The end of a session and its reason. */
import { appendFileSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { client, env, events, hook, seen, start, TOKEN, transcript, useSession } from './lab.ts'

useSession()

test.each([
  ['cli', 'prompt_input_exit', 'exit'],
  ['cli', 'other', 'ended by a signal'],
  ['cli', 'logout', 'logout'],
])('session - %s: SessionEnd %s is the end: %s', async (entrypoint, reason, shown) => {
  env.CLAUDE_CODE_ENTRYPOINT = entrypoint
  await start()
  hook('SessionEnd', { reason })
  await expect.poll(() => seen('ended')).toEqual([[shown]])
  client.kill('SIGKILL')
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen('ended')).toHaveLength(1)
})

test('session - the end of -p is finished after its last turn, else a signal', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  await start()
  hook('UserPromptSubmit', { prompt: 'go' })
  hook('Stop', { background_tasks: [] })
  hook('SessionEnd', { reason: 'other' })
  await expect.poll(() => seen('ended')).toEqual([['finished']])
})

test('session - evidence that comes with the end is reported before it', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  hook('SessionStart', { source: 'startup' })
  const [, door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  hook('SessionEnd', { reason: 'other' })
  const line = { type: 'attachment', attachment: { type: 'hook_additional_context', content: [TOKEN] } }
  appendFileSync(transcript(), `${JSON.stringify(line)}\n`)
  await expect.poll(() => events.map(([kind]) => kind).slice(-2)).toEqual(['evidence', 'ended'])
})

test('session - a client that dies without SessionEnd was killed', async () => {
  await start()
  client.kill('SIGKILL')
  await vi.waitFor(() => expect(seen('ended')).toEqual([['killed']]), 15_000)
}, 20_000)

test('session - the reason of SessionEnd comes before the witnessed one', async () => {
  await start()
  hook('SessionEnd', { reason: 'prompt_input_exit' })
  client.kill('SIGKILL')
  await vi.waitFor(() => expect(seen('ended')).toEqual([['exit']]), 15_000)
})
