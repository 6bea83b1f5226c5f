/** The commands on messages, and on who gets them. */
import type { CommandInfo, FlagName } from '../../flags.ts'

const sendFlags: readonly FlagName[] = ['thread', 'replyTo', 'intent', 'wait', 'timeout']

export const messageCommands: readonly CommandInfo[] = [
  {
    name: 'send',
    args: '<...to>',
    text: true,
    about: 'send a message to a session (NAME), a topic (topic:T), a role (role:R), operator, or everybody (@all)',
    flags: sendFlags,
    examples: [
      'mesh send api-worker -- "the schema landed"',
      'mesh send alice topic:builds -- "main is green"',
      'git diff | mesh send reviewer -',
      'mesh send api-worker --wait surfaced --timeout 30s -- "stop, please"',
    ],
    load: () => import('./send.ts'),
  },
  {
    name: 'ask',
    args: '<to>',
    text: true,
    about: 'send a message and wait for its reply',
    flags: ['thread', 'intent', 'timeout'],
    examples: ['mesh ask api-worker -- "which port?"', 'mesh ask role:reviewer --timeout 10m -- "is this safe?"'],
    load: () => import('./ask.ts'),
  },
  {
    name: 'reply',
    args: '<id>',
    text: true,
    about: 'answer a message: to its sender, in its thread',
    flags: ['intent', 'wait', 'timeout'],
    examples: ['mesh reply m_3f2a9c41d0 -- "8080"'],
    load: () => import('./reply.ts'),
  },
  {
    name: 'inbox',
    args: '[id]',
    about: 'show unread messages, oldest first; what was shown is read; with an ID, that message again',
    flags: ['peek', 'follow', 'limit'],
    examples: ['mesh inbox', 'mesh inbox --peek --json', 'mesh inbox --follow --json', 'mesh inbox m_3f2a9c41d0'],
    load: () => import('./inbox.ts'),
  },
  {
    name: 'wait',
    args: '[...target]',
    about:
      'block until a run or a child session ends, a session is idle, ends or is lost, a message is replied to, or (without arguments) a message comes',
    flags: ['until', 'any', 'all', 'timeout'],
    examples: ['mesh wait', 'mesh wait api-worker --until idle', 'mesh wait m_3f2a9c41d0 --timeout 5m'],
    load: () => import('./wait.ts'),
  },
  {
    name: 'trace',
    args: '<id>',
    about: 'show what happened to a message or a run (its id or name), step by step, each with its evidence',
    examples: ['mesh trace m_3f2a9c41d0', 'mesh trace r_3f2a9c41d0'],
    load: () => import('./trace.ts'),
  },
  {
    name: 'topic join',
    args: '<topic>',
    about: 'read a topic from now on',
    examples: ['mesh topic join builds'],
    load: () => import('./topic-join.ts'),
  },
  {
    name: 'topic leave',
    args: '<topic>',
    about: 'no longer read a topic',
    examples: ['mesh topic leave builds'],
    load: () => import('./topic-leave.ts'),
  },
  {
    name: 'topic list',
    about: 'list the topics and who reads them',
    examples: ['mesh topic list'],
    load: () => import('./topic-list.ts'),
  },
  {
    name: 'role add',
    args: '<role>',
    about: 'take messages of a role; each goes to one taker',
    examples: ['mesh role add reviewer'],
    load: () => import('./role-add.ts'),
  },
  {
    name: 'role rm',
    args: '<role>',
    about: 'no longer take messages of a role',
    examples: ['mesh role rm reviewer'],
    load: () => import('./role-rm.ts'),
  },
  {
    name: 'role list',
    about: 'list the roles and who holds them',
    examples: ['mesh role list'],
    load: () => import('./role-list.ts'),
  },
]
