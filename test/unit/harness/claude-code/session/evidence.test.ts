/** The evidence of hand-overs, through doors, hooks and transcripts. */
import { appendFileSync, existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dir, hook, registry, root, seen, start, TOKEN, transcript, useSession } from './lab.ts'

useSession()

test('session - mail that a hook took is handed, and surfaced once the transcript has it', async () => {
  hook('SessionStart', { source: 'startup' })
  const [, door] = (await start()).doors
  await door!.offer(`<${TOKEN}>hello</${TOKEN}>`, TOKEN)
  renameSync(join(dir, 'mail'), join(dir, 'spool', 'MailTaken-7.json'))
  await expect.poll(() => seen('evidence')).toEqual([[TOKEN, 'handed', 'taken by a hook']])
  const line = { type: 'attachment', attachment: { type: 'hook_additional_context', content: [`<${TOKEN}>`] } }
  appendFileSync(transcript(), `${JSON.stringify(line)}\n`)
  await expect
    .poll(() => seen('evidence').at(-1), { timeout: 5000 })
    .toEqual([TOKEN, 'surfaced', 'transcript: hook context'])
  expect(await door!.withdraw()).toBe(false)
})

test('session - what is offered right after the look at former offers is not withdrawn as one of them', async () => {
  hook('SessionStart', { source: 'startup' })
  const harness = await start()
  const door = harness.doors.find(({ name }) => name === 'hook')!
  harness.recall!([])
  await door.offer(`<${TOKEN}>hello</${TOKEN}>`, TOKEN)
  await new Promise((resolve) => setImmediate(resolve))
  expect(existsSync(join(dir, 'mail'))).toBe(true)
})

test('session - lines from before the offer are no evidence of it', async () => {
  const line = JSON.stringify({ type: 'queue-operation', operation: 'enqueue', content: TOKEN })
  writeFileSync(transcript(), `${line}\n`)
  hook('SessionStart', { source: 'startup' })
  const [, door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  appendFileSync(transcript(), `${line}\n`)
  await expect.poll(() => seen('evidence'), { timeout: 5000 }).toEqual([[TOKEN, 'handed', 'transcript: enqueue']])
})

test('session - a prompt with the token may still be blocked: handed, also in the conversation that follows', async () => {
  hook('SessionStart', { source: 'startup' })
  const [, door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  const next = { session_id: 'next', transcript_path: join(root, 'next.jsonl') }
  hook('SessionEnd', { reason: 'clear' })
  hook('SessionStart', { source: 'clear', ...next })
  hook('UserPromptSubmit', { prompt: `x ${TOKEN} y`, ...next })
  await expect.poll(() => seen('evidence')).toEqual([[TOKEN, 'handed', 'UserPromptSubmit hook']])
  expect(seen('conversation').at(-1)).toEqual(['clear', 'next'])
  expect(seen('ended')).toEqual([])
  const blocked = { type: 'system', subtype: 'informational' }
  const content = `UserPromptSubmit operation blocked by hook:\n[x]: no\n\nOriginal prompt: ${TOKEN}`
  appendFileSync(next.transcript_path, `${JSON.stringify({ ...blocked, content })}\n`)
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'refused', {}])
})

test('session - a client that keeps no transcript has read a prompt when its turn is over', async () => {
  hook('SessionStart', { source: 'startup' })
  const [, door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  hook('UserPromptSubmit', { prompt: TOKEN })
  hook('Stop')
  await expect.poll(() => seen('evidence').map(([, state]) => state)).toEqual(['handed', 'surfaced', 'answered'])
})

const lineWith = (type: 'enqueue' | 'peer' | 'assistant') => {
  if (type === 'assistant') return `${JSON.stringify({ type, message: { role: 'assistant', content: 'yes' } })}\n`
  if (type === 'enqueue') return `${JSON.stringify({ type: 'queue-operation', operation: type, content: TOKEN })}\n`
  return `${JSON.stringify({ type: 'user', origin: { kind: type }, message: { role: 'user', content: TOKEN } })}\n`
}

test("session - a read message is answered by the model's next words, not by earlier ones", async () => {
  hook('SessionStart', { source: 'startup' })
  const [, door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  appendFileSync(transcript(), lineWith('assistant') + lineWith('peer'))
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'surfaced', {}])
  appendFileSync(transcript(), lineWith('assistant'))
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'answered', {}])
})

const offer = (door: string) => [{ handover: TOKEN, door, at: Date.now() }]

test.each([
  ['read', lineWith('enqueue') + lineWith('peer'), 'surfaced'],
  ['queued', lineWith('enqueue'), 'handed'],
  ['not seen', '', 'open'],
])('session - what was handed over by the sidecar before is %s', async (_, lines, state) => {
  hook('SessionStart', { source: 'startup' })
  await (await start()).stop()
  writeFileSync(transcript(), `${'x'.repeat(9 * 1024 * 1024)}\n${lines}`)
  expect((await start()).recall!(offer('inbox-socket'))).toMatchObject([{ state }])
  if (state === 'surfaced') return
  appendFileSync(transcript(), lineWith('peer'))
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'surfaced', {}])
})

test('session - mail of an earlier sidecar stays until a hook takes it', async () => {
  hook('SessionStart', { source: 'startup' })
  const first = await start()
  await first.doors[1]!.offer(`<${TOKEN}>`, TOKEN)
  await first.stop()
  const second = await start()
  expect(second.recall!(offer('hook'))).toMatchObject([{ state: 'open' }])
  expect(existsSync(join(dir, 'mail'))).toBe(true)
  renameSync(join(dir, 'mail'), join(dir, 'taken'))
  expect(second.recall!(offer('hook'))).toMatchObject([{ state: 'handed' }])
})

test('session - a hand-over to an earlier client without evidence is lost', async () => {
  hook('SessionStart', { source: 'resume' })
  writeFileSync(transcript(), lineWith('enqueue'))
  const resumed = await start()
  expect(resumed.recall!(offer('inbox-socket'))).toMatchObject([{ state: 'lost' }])
  appendFileSync(transcript(), lineWith('peer'))
  expect(resumed.recall!(offer('inbox-socket'))).toMatchObject([{ state: 'surfaced' }])
})

test('session - mail that this sidecar does not know is withdrawn', async () => {
  writeFileSync(join(dir, 'mail'), '"of another client"')
  const harness = await start()
  expect(existsSync(join(dir, 'mail'))).toBe(false)
  writeFileSync(join(dir, 'mail'), '"not in the journal"')
  harness.recall!([])
  await expect.poll(() => existsSync(join(dir, 'mail'))).toBe(false)
})

test.each([
  ['the client took back with the prompt is forgotten', null, 'forgotten'],
  ['is in the conversation that was stopped is not', '[Request interrupted by user]', null],
])('session - mail that a prompt took along and that %s', async (_, line, state) => {
  hook('SessionStart', { source: 'startup' })
  const [, door] = (await start()).doors
  registry('busy')
  await door!.offer(TOKEN, TOKEN)
  hook('UserPromptSubmit', { prompt: 'go' })
  const attachment = { type: 'hook_additional_context', hookEvent: 'UserPromptSubmit', content: [TOKEN] }
  appendFileSync(transcript(), `${JSON.stringify({ type: 'attachment', attachment })}\n`)
  await expect.poll(() => seen('evidence').at(-1)?.[1], { timeout: 5000 }).toBe('surfaced')
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  if (line) {
    const stopped = { type: 'user', timestamp: new Date().toISOString(), message: { content: line } }
    appendFileSync(transcript(), `${JSON.stringify(stopped)}\n`)
  }
  await expect
    .poll(() => {
      registry('idle')
      return seen('interrupted')
    })
    .toEqual([[true]])
  if (state) await expect.poll(() => seen('evidence').at(-1)?.[1], { timeout: 5000 }).toBe(state)
  else {
    hook('UserPromptSubmit', { prompt: 'next' })
    await expect.poll(() => seen('interrupted').at(-1)).toEqual([false])
    expect(seen('evidence').map(([, is]) => is)).not.toContain('forgotten')
  }
})
