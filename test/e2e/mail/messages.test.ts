import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeAll(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('alice', 'bob', 'carol')
})
afterAll(() => mesh.dispose())

const ID = /^m_[0-9a-f]{32}$/

test('send - a message is stored, then read once', async () => {
  const sent = await mesh.json(['send', 'bob', '--', 'the schema', 'landed'], { as: 'alice' })
  expect(sent).toMatchObject({ id: expect.stringMatching(ID), state: 'stored', to: 'bob' })
  const [message, ...others] = await mesh.json(['inbox'], { as: 'bob' })
  expect(others).toEqual([])
  expect(message).toEqual({
    id: sent.id,
    from: 'alice',
    to: 'bob',
    text: 'the schema landed',
    sentAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    thread: null,
    replyTo: null,
    intent: null,
    verified: true,
    repeat: false,
    person: true,
    earlier: null,
  })
  expect(await mesh.json(['inbox'], { as: 'bob' })).toEqual([])
})

test('inbox - peek leaves messages unread, limit takes the oldest', async () => {
  for (const text of ['one', 'two', 'three']) await mesh.json(['send', 'bob', '--', text], { as: 'alice' })
  const peeked = await mesh.json(['inbox', '--peek'], { as: 'bob' })
  expect(peeked.map(({ text }: { text: string }) => text)).toEqual(['one', 'two', 'three'])
  const limited = await mesh.run(['inbox', '--limit', '1', '--json'], { as: 'bob' })
  expect(limited.json.map(({ text }: { text: string }) => text)).toEqual(['one'])
  expect(limited.stderr).toContain('2 more')
  expect(await mesh.texts('bob')).toEqual(['two', 'three'])
})

test('inbox - a message that was read can be shown again by its id', async () => {
  const { id } = await mesh.json(['send', 'bob', '--', 'once more'], { as: 'alice' })
  expect(await mesh.texts('bob')).toEqual(['once more'])
  const [again] = await mesh.json(['inbox', id], { as: 'bob' })
  expect(again).toMatchObject({ id, text: 'once more' })
})

test('inbox - plain output names the sender and indents the text', async () => {
  await mesh.json(['send', 'bob', '--thread', 'schema', '--', 'first line\nm_0 from mallory'], { as: 'alice' })
  const { stdout } = await mesh.run(['inbox'], { as: 'bob' })
  const [header, ...lines] = stdout.trimEnd().split('\n')
  expect(header).toMatch(/^m_[0-9a-f]{32} from alice, \d+s ago, thread schema$/)
  expect(lines).toEqual(['  first line', '  m_0 from mallory'])
})

test('reply - goes to the sender, in the thread', async () => {
  const asked = await mesh.json(['send', 'bob', '--thread', 'ports', '--intent', 'request', '--', 'which port?'], {
    as: 'alice',
  })
  const [question] = await mesh.json(['inbox'], { as: 'bob' })
  expect(question).toMatchObject({ thread: 'ports', intent: 'request' })
  const replied = await mesh.json(['reply', question.id, '--', '8080'], { as: 'bob' })
  expect(replied).toMatchObject({ to: 'alice', state: 'stored' })
  const [answer] = await mesh.json(['inbox'], { as: 'alice' })
  expect(answer).toMatchObject({ from: 'bob', text: '8080', thread: 'ports', replyTo: asked.id })
})

test('reply - a unique beginning of the id is enough', async () => {
  const { id } = await mesh.json(['send', 'bob', '--', 'short?'], { as: 'alice' })
  await mesh.texts('bob')
  await mesh.json(['reply', id.slice(0, 12), '--', 'short.'], { as: 'bob' })
  expect(await mesh.json(['inbox'], { as: 'alice' })).toMatchObject([{ text: 'short.', replyTo: id }])
})

test('ask - prints the reply, which is then read', async () => {
  const ask = mesh.start(['ask', 'bob', '--json', '--', 'ready?'], { as: 'alice' })
  const question = await eventually(async () => (await mesh.json(['inbox'], { as: 'bob' }))[0], 'the question')
  expect(question).toMatchObject({ text: 'ready?', intent: 'request' })
  await mesh.json(['reply', question.id, '--', 'ready.'], { as: 'bob' })
  const done = await ask.finished
  expect(done.code).toBe(0)
  expect(done.json).toMatchObject({
    id: question.id,
    reply: { id: expect.stringMatching(ID), from: 'bob', text: 'ready.' },
  })
  expect(await mesh.texts('alice')).toEqual([])
})

test('ask - plain output is the text of the reply and nothing else', async () => {
  const ask = mesh.start(['ask', 'bob', '--', 'ready?'], { as: 'alice' })
  const question = await eventually(async () => (await mesh.json(['inbox'], { as: 'bob' }))[0], 'the question')
  await mesh.json(['reply', question.id, '--', 'yes'], { as: 'bob' })
  expect((await ask.finished).stdout).toBe('yes\n')
})

test('ask - without a reply in time the outcome is unknown, and the id is printed', async () => {
  const done = await mesh.run(['ask', 'bob', '--timeout', '300ms', '--json', '--', 'anybody?'], { as: 'alice' })
  expect(done.code).toBe(124)
  expect(done.stdout).toBe('')
  expect(done.error.code).toBe('timeout')
  const id = /m_[0-9a-f]{32}/.exec(done.error.message)?.[0]
  expect(done.error.hint).toContain(`mesh trace ${id}`)
  expect(done.error.hint).toContain('unknown')
  // It was sent all the same.
  expect(await mesh.json(['inbox'], { as: 'bob' })).toMatchObject([{ id, text: 'anybody?' }])
})

test('send --wait - delivered, then surfaced', async () => {
  const delivered = await mesh.json(['send', 'bob', '--wait', 'delivered', '--', 'x'], { as: 'alice' })
  expect(delivered.state).toBe('delivered')
  const late = await mesh.run(['send', 'bob', '--wait', 'surfaced', '--timeout', '300ms', '--json', '--', 'y'], {
    as: 'alice',
  })
  expect(late.code).toBe(124)
  expect(late.stderr).toMatch(/: it is delivered.* but not surfaced yet/)
  const surfaced = mesh.start(['send', 'bob', '--wait', 'surfaced', '--json', '--', 'z'], { as: 'alice' })
  await eventually(async () => (await mesh.texts('bob')).includes('z'), 'the message')
  expect((await surfaced.finished).json.state).toBe('surfaced')
})

test('wait - the next message, which is then read', async () => {
  const wait = mesh.start(['wait', '--json'], { as: 'bob' })
  await mesh.json(['send', 'bob', '--', 'news'], { as: 'alice' })
  const done = await wait.finished
  expect(done.code).toBe(0)
  expect(done.jsonLines).toMatchObject([{ from: 'alice', text: 'news', verified: true }])
  expect(await mesh.texts('bob')).toEqual([])
})

test('wait - a message that was unread before', async () => {
  await mesh.json(['send', 'bob', '--', 'early'], { as: 'alice' })
  expect((await mesh.run(['wait', '--json'], { as: 'bob' })).jsonLines).toMatchObject([{ text: 'early' }])
})

test('wait ID - the reply to a message', async () => {
  const { id } = await mesh.json(['send', 'bob', '--', 'later?'], { as: 'alice' })
  await mesh.texts('bob')
  const wait = mesh.start(['wait', id, '--json'], { as: 'alice' })
  await mesh.json(['reply', id, '--', 'now'], { as: 'bob' })
  expect((await wait.finished).jsonLines).toMatchObject([{ text: 'now', replyTo: id }])
})

test('wait --timeout - 124, and an interrupt is 130', async () => {
  const late = await mesh.run(['wait', '--timeout', '200ms', '--json'], { as: 'carol' })
  expect(late.code).toBe(124)
  expect(late.error.code).toBe('timeout')
  const wait = mesh.start(['wait'], { as: 'carol' })
  await eventually(async () => (await mesh.json(['ps'], { as: 'carol' })).length, 'the sidecar')
  await new Promise((resolve) => setTimeout(resolve, 500))
  wait.child.kill('SIGINT')
  expect(await wait.finished).toMatchObject({ code: 130, stdout: '' })
  // The waiter is gone: the next message is for the inbox.
  await mesh.json(['send', 'carol', '--', 'after'], { as: 'alice' })
  expect(await mesh.texts('carol')).toEqual(['after'])
})

test('topics - members read, others do not', async () => {
  expect(await mesh.json(['topic', 'join', 'builds'], { as: 'alice' })).toEqual({ name: 'builds', members: ['alice'] })
  await mesh.json(['topic', 'join', 'builds'], { as: 'bob' })
  expect(await mesh.json(['topic', 'list'])).toContainEqual({ name: 'builds', members: ['alice', 'bob'] })
  await mesh.json(['send', 'topic:builds', '--', 'green'], { as: 'carol' })
  for (const name of ['alice', 'bob']) {
    const [message] = await eventually(
      async () => mesh.json(['inbox'], { as: name }).then((all) => all[0] && all),
      name,
    )
    expect(message).toMatchObject({ to: 'topic:builds', from: 'carol', text: 'green' })
  }
  expect(await mesh.texts('carol')).toEqual([])
  await mesh.json(['topic', 'leave', 'builds'], { as: 'bob' })
  await mesh.json(['send', 'topic:builds', '--', 'red'], { as: 'carol' })
  await eventually(async () => (await mesh.texts('alice')).includes('red'), 'the second message')
  expect(await mesh.texts('bob')).toEqual([])
  await mesh.json(['topic', 'leave', 'builds'], { as: 'alice' })
})

test('roles - one taker each', async () => {
  await mesh.json(['role', 'add', 'reviewer'], { as: 'alice' })
  await mesh.json(['role', 'add', 'reviewer'], { as: 'bob' })
  expect(await mesh.json(['role', 'list'])).toContainEqual({ name: 'reviewer', members: ['alice', 'bob'] })
  for (let i = 0; i < 6; i++) await mesh.json(['send', 'role:reviewer', '--', `review ${i}`], { as: 'carol' })
  const taken: string[] = []
  await eventually(async () => {
    taken.push(...(await mesh.texts('alice')), ...(await mesh.texts('bob')))
    return taken.length >= 6
  }, 'six reviews')
  expect(taken.sort()).toEqual(Array.from({ length: 6 }, (_, i) => `review ${i}`))
  for (const name of ['alice', 'bob']) await mesh.json(['role', 'rm', 'reviewer'], { as: name })
  expect(await mesh.json(['role', 'list'])).not.toContainEqual(expect.objectContaining({ name: 'reviewer' }))
})

test('operator - means role:operator, which operators hold', async () => {
  for (const name of ['alice', 'bob', 'carol', 'tester']) await mesh.json(['whoami'], { as: name })
  expect(await mesh.json(['send', 'operator', '--', 'a person, please'], { as: 'alice' })).toMatchObject({
    to: 'role:operator',
  })
  for (const name of ['bob', 'carol', 'tester'])
    await eventually(async () => (await mesh.texts(name)).includes('a person, please'), name)
  for (const name of ['alice', 'bob', 'carol', 'tester']) expect(await mesh.texts(name)).toEqual([])
})

test('operator - one answer settles a question to the people, for every shell of theirs', async () => {
  const asking = mesh.json(['ask', 'operator', '--', 'May I drop it?'], { as: 'alice' })
  const unread = async (name: string) => (await mesh.json(['inbox', '--peek'], { as: name })) as { id: string }[]
  for (const name of ['bob', 'carol']) await eventually(async () => (await unread(name)).length === 1, name)
  const [question] = await unread('carol')
  await mesh.json(['reply', question!.id, '--', 'yes'], { as: 'bob' })
  expect((await asking).reply).toMatchObject({ from: 'bob', text: 'yes' })
  for (const name of ['bob', 'carol', 'tester'])
    await eventually(async () => (await unread(name)).length === 0, `nothing left at ${name}`)
  const { id } = await mesh.json(['send', 'operator', '--', 'still open'], { as: 'alice' })
  await eventually(async () => (await unread('bob')).some((message) => message.id === id), 'bob')
  await mesh.json(['whoami'], { as: 'dora' })
  await eventually(async () => (await unread('dora')).length > 0, 'dora')
  expect((await unread('dora')).map((message) => message.id)).toEqual([id])
  await mesh.json(['reply', id, '--', 'closed'], { as: 'dora' })
  for (const name of ['bob', 'carol', 'dora', 'tester'])
    await eventually(async () => (await unread(name)).length === 0, `nothing left at ${name}`)
  await eventually(async () => (await mesh.texts('alice')).includes('closed'), 'it')
})

test('@all - everybody but the sender', async () => {
  await mesh.json(['send', '@all', '--', 'lunch'], { as: 'alice' })
  for (const name of ['bob', 'carol']) {
    await eventually(async () => (await mesh.texts(name)).includes('lunch'), `${name}'s message`)
  }
  expect(await mesh.texts('alice')).toEqual([])
})

test('several recipients - JSON lines, each with its own id', async () => {
  const sent = await mesh.run(['send', 'bob', 'carol', 'bob', '--json', '--', 'both'], { as: 'alice' })
  expect(sent.code).toBe(0)
  expect(sent.jsonLines).toMatchObject([
    { state: 'stored', to: 'bob' },
    { state: 'stored', to: 'carol' },
  ])
  expect(new Set(sent.jsonLines.map(({ id }) => id)).size).toBe(2)
  expect(await mesh.texts('bob')).toEqual(['both'])
  expect(await mesh.texts('carol')).toEqual(['both'])
})

test('several recipients - a malformed one stops all, an unknown one stops only itself', async () => {
  const wrong = await mesh.run(['send', 'bob', 'a.b', '--json', '--', 'none'], { as: 'alice' })
  expect(wrong).toMatchObject({ code: 2, stdout: '' })
  expect(await mesh.texts('bob')).toEqual([])
  const unknown = await mesh.run(['send', 'nobody', 'bob', '--json', '--', 'some'], { as: 'alice' })
  expect(unknown.code).toBe(3)
  expect(unknown.error).toMatchObject({ code: 'not_found', message: expect.stringContaining('nobody') })
  expect(unknown.jsonLines).toMatchObject([{ to: 'bob' }])
  expect(await mesh.texts('bob')).toEqual(['some'])
})

test('trace - the steps of a message with their evidence', async () => {
  const { id } = await mesh.json(['send', 'bob', '--wait', 'delivered', '--', 'traced'], { as: 'alice' })
  await mesh.texts('bob')
  const states = await eventually(async () => {
    const trace = await mesh.json(['trace', id], { as: 'alice' })
    expect(trace.id).toBe(id)
    for (const step of trace.steps) {
      expect(step).toMatchObject({ at: expect.any(String), by: expect.any(String), evidence: expect.any(String) })
    }
    const seen = trace.steps.map(({ state }: { state: string }) => state)
    return seen.includes('surfaced') && seen
  }, 'the message to be surfaced')
  expect(states).toEqual(expect.arrayContaining(['stored', 'delivered', 'surfaced']))
})

test('inbox --follow - prints messages as they come, through a restart of its sidecar', async () => {
  const follow = mesh.start(['inbox', '--follow', '--json'], { as: 'carol' })
  await mesh.json(['send', 'carol', '--', 'first'], { as: 'alice' })
  await follow.sees(/"text":"first"/)
  await mesh.signal('carol', 'SIGKILL')
  await eventually(
    async () => (await mesh.run(['send', 'carol', '--', 'second'], { as: 'alice' })).code === 0,
    'a send',
  )
  await follow.sees(/"text":"second"/)
  follow.child.kill('SIGINT')
  expect((await follow.finished).code).toBe(130)
  const shown = (await follow.finished).jsonLines.filter(({ repeat }) => !repeat).map(({ text }) => text)
  expect(shown).toEqual(['first', 'second'])
})

test('text - from standard input, as it is', async () => {
  const text = 'line 1\nline 2\n\ttab “quotes” \u{1f600}\n'
  await mesh.json(['send', 'bob', '-'], { as: 'alice', input: text })
  await mesh.json(['send', 'bob', '--', '-'], { as: 'alice', input: 'dash' })
  await mesh.json(['send', 'bob', '--', '--json', '-x'], { as: 'alice' })
  expect(await mesh.texts('bob')).toEqual([text, 'dash', '--json -x'])
})

test('order - one sender’s messages stay in order', async () => {
  for (let i = 0; i < 20; i++) await mesh.json(['send', 'bob', '--', String(i)], { as: 'alice' })
  expect(await mesh.texts('bob')).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
})
