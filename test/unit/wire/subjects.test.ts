import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isMessageId, isName, isToken, type Recipient, suffixed } from '../../../src/wire/names.ts'
import {
  isProject,
  mailFilters,
  messageStreamSubjects,
  messageSubject,
  parseMessageSubject,
  parseReceiptSubject,
  receiptFilter,
  receiptStreamSubjects,
  receiptSubject,
  roleFilter,
  storeNames,
} from '../../../src/wire/subjects.ts'
import { project } from '../../support/samples.ts'

const token = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/).filter(isToken)
const name = token.filter(isName)
const from = fc.record({ member: token, name })
const recipient: fc.Arbitrary<Recipient> = fc.oneof(
  name.map((name) => ({ kind: 'session' as const, name })),
  token.map((name) => ({ kind: 'topic' as const, name })),
  token.map((name) => ({ kind: 'role' as const, name })),
  fc.constant({ kind: 'all' as const }),
)

/** NATS' own rule: `*` is one token, `>` one or more. */
function matches(filter: string, subject: string): boolean {
  const want = filter.split('.')
  const have = subject.split('.')
  if (want.at(-1) === '>')
    return have.length >= want.length && want.slice(0, -1).every((w, i) => w === '*' || w === have[i])
  return have.length === want.length && want.every((w, i) => w === '*' || w === have[i])
}

test('message subjects - parsing gives back what was built', () => {
  fc.assert(
    fc.property(recipient, from, (to, sender) => {
      expect(parseMessageSubject(project, messageSubject(project, to, sender))).toEqual({ to, from: sender })
    }),
  )
})

test('message subjects - the ones in use', () => {
  const sender = { member: 'local', name: 'api' }
  const subjects = [
    messageSubject(project, { kind: 'session', name: 'web' }, sender),
    messageSubject(project, { kind: 'topic', name: 'schema' }, sender),
    messageSubject(project, { kind: 'role', name: 'reviewer' }, sender),
    messageSubject(project, { kind: 'all' }, sender),
  ]
  expect(subjects.map((subject) => subject.split('.').slice(3).join('.'))).toEqual([
    'msg.web.local.api',
    'topic.schema.local.api',
    'role.reviewer.local.api',
    'all.local.api',
  ])
})

test('message subjects - each is in the stream, and in exactly one of its subjects', () => {
  fc.assert(
    fc.property(recipient, from, (to, sender) => {
      const subject = messageSubject(project, to, sender)
      expect(messageStreamSubjects(project).filter((filter) => matches(filter, subject))).toHaveLength(1)
      expect(receiptStreamSubjects(project).some((filter) => matches(filter, subject))).toBe(false)
      expect(messageStreamSubjects('other').some((filter) => matches(filter, subject))).toBe(false)
    }),
  )
})

test('mail filters - a session reads its own mail, its topics and @all, and nothing else', () => {
  fc.assert(
    fc.property(name, fc.uniqueArray(token, { maxLength: 3 }), recipient, from, (me, topics, to, sender) => {
      const subject = messageSubject(project, to, sender)
      const hits = mailFilters(project, me, topics).filter((filter) => matches(filter, subject)).length
      const mine =
        to.kind === 'all' ||
        (to.kind === 'session' && to.name === me) ||
        (to.kind === 'topic' && topics.includes(to.name))
      expect(hits).toBe(mine ? 1 : 0)
      const role = matches(roleFilter(project, me), subject)
      expect(role).toBe(to.kind === 'role' && to.name === me)
    }),
  )
})

test('mail filters - a name never reads the mail of a longer one', () => {
  const subject = messageSubject(project, { kind: 'session', name: 'api-2' }, { member: 'local', name: 'x' })
  expect(mailFilters(project, 'api', []).some((filter) => matches(filter, subject))).toBe(false)
})

const foreign = [
  '',
  'mesh',
  'foo',
  'msg.web.local.api',
  `x.${project}.msg.web.local.api`,
  ...[
    'msg.web.local',
    'msg.web.local.api.more',
    'msg.web..api',
    'msg..local.api',
    'msg.*.local.api',
    'msg.>',
    'msg.all.local.api',
    'msg.m_x.local.api',
    'msg.WEB.local.api',
    'msg.web.local.operator',
    'msg.web.lo cal.api',
    'all.local',
    'all.x.local.api',
    'topic.a.b.local.api',
    'evt.a.local.api',
    'rcpt.a.local.api',
    'constructor.a.local.api',
    `msg.web.local.${'a'.repeat(65)}`,
    `msg.${'a'.repeat(5000)}.local.api`,
  ].map((rest) => messageSubject(project, { kind: 'all' }, { member: 'x', name: 'y' }).replace('all.x.y', rest)),
]

test.each(foreign)('message subjects - %j is refused', (subject) => {
  expect(parseMessageSubject(project, subject)).toBeNull()
  expect(parseReceiptSubject(project, subject)).toBeNull()
})

test('message subjects - another project, also one with a longer name, is refused', () => {
  const subject = messageSubject(project, { kind: 'all' }, { member: 'local', name: 'api' })
  expect(parseMessageSubject('other', subject)).toBeNull()
  expect(parseMessageSubject(project.slice(0, -1), subject)).toBeNull()
})

test('any subject is parsed or refused without an exception', () => {
  const root = messageSubject(project, { kind: 'all' }, { member: 'x', name: 'y' }).replace('all.x.y', '')
  const part = fc.oneof(token, fc.string({ maxLength: 8 }), fc.constantFrom('msg', 'topic', 'role', 'all', 'rcpt'))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 7 }), (parts) => {
      const subject = root + parts.join('.')
      const parsed = parseMessageSubject(project, subject)
      if (parsed) expect(messageSubject(project, parsed.to, parsed.from)).toBe(subject)
    }),
  )
})

test('receipt subjects - parsing gives back what was built, filters match', () => {
  const id = fc.stringMatching(/^m_[0-9a-f]{32}$/).filter(isMessageId)
  fc.assert(
    fc.property(name, id, fc.constantFrom('surfaced', 'dead_lettered'), from, (to, id, state, sender) => {
      const subject = receiptSubject(project, to, id, state, sender)
      expect(parseReceiptSubject(project, subject)).toEqual({ to, id, state, from: sender })
      for (const scope of [{}, { to }, { id }, { to, id }]) {
        expect(matches(receiptFilter(project, scope), subject)).toBe(true)
      }
      expect(matches(receiptFilter(project, { to: suffixed(to, 2) }), subject)).toBe(false)
      expect(matches(receiptStreamSubjects(project)[0]!, subject)).toBe(true)
      expect(parseReceiptSubject('other', subject)).toBeNull()
      expect(parseReceiptSubject(project, `${subject}.x`)).toBeNull()
      expect(parseReceiptSubject(project, subject.replace(id, id.replace('m_', 'r_')))).toBeNull()
    }),
  )
})

test('store names - valid for NATS, and no two of any projects are the same', () => {
  const some = ['a', 'a_msg', 'a_names', 'a-names', 'msg', project]
  const all = some.flatMap((id) => Object.values(storeNames(id)))
  expect(new Set(all).size).toBe(all.length)
  for (const store of all) expect(store).toMatch(/^[a-zA-Z0-9_-]+$/)
})

test.each(['', '.', '..', 'a.b', '*', '>', '../x', 'A', '-a', '__proto__', 'a b', 'a\n', 'a'.repeat(81)])(
  'project %j is refused',
  (id) => {
    expect(isProject(id)).toBe(false)
  },
)

test('project ids of 80 characters are fine', () => {
  expect(isProject('a'.repeat(80))).toBe(true)
  expect(isProject(project)).toBe(true)
})
