/** A sidecar's socket: who may open it, and what it answers to callers that do not keep to the protocol. */
import { statSync } from 'node:fs'
import { request as httpRequest, type RequestOptions } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { json, text } from 'node:stream/consumers'
import { expect } from 'vitest'
import { newId } from '../../../src/wire/names.ts'
import { test as base, type Node, Project, WAIT } from '../../support/node.ts'

const MIB = 1024 * 1024

/** One session for the whole file: what it refuses must not harm what comes next. */
const test = base.extend('alice', { scope: 'file' }, async ({ world }, { onCleanup }) => {
  const project = new Project(world)
  onCleanup(() => project.close())
  return project.node('alice')
})

interface Answer {
  status: number
  error: { code: string; message: string }
}

/** One request by Node's own client, as somebody else's program would make it. */
function ask(node: Node, path: string, body: string | Buffer, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const made = httpRequest({ socketPath: node.socket, path, method: 'POST', ...options }, async (response) => {
      const { error } = (await json(response)) as Pick<Answer, 'error'>
      resolve({ status: response.statusCode!, error })
    })
    made.once('error', reject).end(body)
  })
}

async function expectRefused(
  answer: Promise<Answer>,
  status: number,
  code: string,
  says = '',
  more: { detail?: string } = {},
): Promise<void> {
  expect(await answer).toEqual({
    status,
    error: { code, message: expect.stringContaining(says), hint: expect.any(String), ...more },
  })
}

const noOperation = { detail: 'no_operation' }

/** It still answers, and has lost nothing. */
async function expectUnharmed(node: Node): Promise<void> {
  expect(await node.call('whoami', {})).toMatchObject({ name: node.name, connected: true })
  await node.nothingElse()
}

test('only its owner may open the socket', async ({ alice }) => {
  expect(statSync(alice.socket).mode & 0o777).toBe(0o600)
  expect(statSync(dirname(alice.socket)).mode & 0o777).toBe(0o700)
})

test('a web page is not answered', async ({ alice }) => {
  const headers = { origin: 'http://localhost' }
  await expectRefused(ask(alice, '/v0/whoami', '{}', { headers }), 403, 'denied')
  await expectUnharmed(alice)
})

test.for(['/', '/v0/', '/v0/nothing', '/v0/__proto__', '/v0/constructor', '/v0/toString', '/v1/whoami', '/v0/whoami/'])(
  'the operation %s is none',
  async (path, { alice }) => {
    await expectRefused(ask(alice, path, '{}'), 400, 'bad_request', 'no such operation', noOperation)
    await expectUnharmed(alice)
  },
)

test('an operation is a POST', async ({ alice }) => {
  await expectRefused(ask(alice, '/v0/whoami', '', { method: 'GET' }), 400, 'bad_request', 'GET', noOperation)
  await expectUnharmed(alice)
})

test.for<[string, string | Buffer]>([
  ['nothing', ''],
  ['half of it', '{"name":'],
  ['bytes', Buffer.from([0xff, 0xfe, 0])],
  ['depth 20,000', `{"name":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
])('a request that is no JSON is refused: %s', async ([, body], { alice }) => {
  await expectRefused(ask(alice, '/v0/alive', body), 400, 'bad_request', 'not JSON')
  await expectUnharmed(alice)
})

test.for<[string, string, string]>([
  ['alive', '[]', 'request'],
  ['alive', 'null', 'request'],
  ['alive', '"bob"', 'request'],
  ['alive', '{}', 'name'],
  ['alive', '{"name":7}', 'name'],
  ['alive', '{"__proto__":{"name":"bob"}}', 'name'],
  ['inbox', '{"limit":0}', 'limit'],
  ['inbox', '{"limit":1.5}', 'limit'],
  ['inbox', '{"limit":"9"}', 'limit'],
  ['wait', '{"targets":"bob"}', 'targets'],
  ['wait', '{"targets":[],"timeoutMs":-1}', 'timeoutMs'],
  ['wait', '{"targets":[],"until":"never"}', 'until'],
  ['send', '{"to":"bob","text":"x"}', 'id'],
  ['send', `{"id":"${newId('m')}","to":"bob","text":null}`, 'text'],
  ['send', `{"id":"${newId('m')}","to":"bob","text":"x","thread":""}`, 'thread'],
  ['send', `{"id":"${newId('m')}","to":"bob","text":"x","intent":"Do It"}`, 'intent'],
  ['taken', '{"handover":{}}', 'handover'],
])('%s %s is refused by the name of what is wrong', async ([op, body, where], { alice }) => {
  await expectRefused(ask(alice, `/v0/${op}`, body), 400, 'bad_request', `${op}: ${where}`)
  await expectUnharmed(alice)
})

test.for<[string, string, string]>([
  ['run_trace', '{"run":""}', 'run: it is empty'],
  ['runs', '{"run":""}', 'run: it is empty'],
  ['run_stop', '{"run":"web","signal":"9"}', 'signal: it has to match /^SIG[A-Z0-9]{1,12}$/'],
  ['inbox', '{"limit":0}', 'limit: at least 1'],
  ['wait', '{"targets":["bob"],"until":"never"}', 'until: it has to be idle, end or message'],
])('%s %s is refused with what the field may be', async ([op, body, words], { alice }) => {
  await expectRefused(ask(alice, `/v0/${op}`, body), 400, 'bad_request', words)
})

const notNames = ['.', '..', '*', '>', 'a.b', 'a b', 'a\r\nb', 'a\0', '$JS', 'é', '__proto__', 'A', 'x'.repeat(65), '']

test.for([...notNames, 'm_x', 'all', 'operator'])('the name %j is refused', async (name, { alice }) => {
  for (const op of ['alive', 'rename', 'forget']) {
    await expectRefused(ask(alice, `/v0/${op}`, JSON.stringify({ name })), 400, 'bad_name')
  }
  await expectUnharmed(alice)
})

test.for(notNames)('%j is refused as a recipient, a topic and a role', async (name, { alice }) => {
  for (const to of [name, `topic:${name}`, `role:${name}`]) {
    const body = JSON.stringify({ id: newId('m'), to, text: 'x' })
    await expectRefused(ask(alice, '/v0/send', body), 400, 'bad_name')
  }
  await expectRefused(ask(alice, '/v0/topic_join', JSON.stringify({ topic: name })), 400, 'bad_name')
  await expectRefused(ask(alice, '/v0/role_add', JSON.stringify({ role: name })), 400, 'bad_name')
  await expectRefused(ask(alice, '/v0/wait', JSON.stringify({ targets: [name] })), 400, 'bad_name')
  await expectUnharmed(alice)
})

test('a text with half a character is refused', async ({ alice }) => {
  const body = `{"id":"${newId('m')}","to":"alice","text":"a\\ud800b"}`
  await expectRefused(ask(alice, '/v0/send', body), 400, 'bad_request', 'Unicode')
  await expectUnharmed(alice)
})

test.for<[string, string, number]>([
  ['alive', 'name', 65 * 1024],
  ['alive', 'name', 5 * MIB],
  ['send', 'text', 53 * MIB],
])('a request of %s is refused by its size', async ([op, field, bytes], { alice }) => {
  const body = Buffer.concat([Buffer.from(`{"${field}":"`), Buffer.alloc(bytes, 'x'), Buffer.from('"}')])
  await expectRefused(ask(alice, `/v0/${op}`, body), 413, 'too_large')
  await expect(alice.call(op as 'alive', JSON.parse(body.toString()))).rejects.toMatchObject({ code: 'too_large' })
  await expectUnharmed(alice)
})

test('a text over the limit is refused', async ({ alice }) => {
  const text = 'x'.repeat(8 * MIB + 1)
  const refused = { code: 'too_large', message: expect.stringContaining(String(8 * MIB)) }
  await expect(alice.send('alice', text)).rejects.toMatchObject(refused)
  await expectUnharmed(alice)
})

test('a request without an end is cut off', async ({ alice }) => {
  const socket = connect(alice.socket)
  socket.on('error', () => {})
  const answer = text(socket)
  socket.write('POST /v0/alive HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
  const chunk = `${MIB.toString(16)}\r\n${'x'.repeat(MIB)}\r\n`
  const pour = () => {
    while (!socket.destroyed && socket.write(chunk)) {}
  }
  socket.on('drain', pour)
  pour()
  await answer.catch(() => {})
  await expect.poll(() => socket.destroyed, WAIT).toBe(true)
  await expectUnharmed(alice)
})

test('bytes that are no HTTP are answered with an end', async ({ alice }) => {
  const socket = connect(alice.socket)
  socket.on('error', () => {})
  socket.write(Buffer.from([0xff, 0, 0x0d, 0x0a, 0x0d, 0x0a]))
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 |^$/)
  await expectUnharmed(alice)
})
