/** The commands on messages, and on who gets them. */
import { define } from '../../command.ts'
import { viewFlags } from '../../show/view.ts'

const thread = ['--thread <name>', 'the thread that the message belongs to'] as const
const intent = ['--intent <word>', 'what the message is for, for example request or info'] as const
const timeout = ['--timeout <time>', 'stop waiting after 500ms, 30s, 5m, 2h …'] as const
const wait = ['--wait <state>', 'wait until it is stored, delivered or surfaced, or until a reply comes'] as const

const membership = () => import('./membership.ts')

export const messageCommands = [
  define({
    name: 'send',
    args: '<...to>',
    text: true,
    about: 'send a message to a session (NAME), a topic (topic:T), a role (role:R), operator or everyone (@all)',
    flags: {
      thread,
      replyTo: ['--reply-to <id>', 'the message that this one answers'],
      intent,
      wait,
      timeout,
    },
    examples: [
      'mesh send api-worker -- "the schema landed"',
      'mesh send alice topic:builds -- "main is green"',
      'git diff | mesh send reviewer -',
      'mesh send api-worker --wait surfaced --timeout 30s -- "stop, please"',
    ],
    load: async () => (await import('./send.ts')).run,
  }),
  define({
    name: 'ask',
    args: '<to>',
    text: true,
    about: 'send a message and wait for its reply',
    flags: { thread, intent, timeout },
    examples: ['mesh ask api-worker -- "which port?"', 'mesh ask role:reviewer --timeout 10m -- "is this safe?"'],
    load: async () => (await import('./ask.ts')).run,
  }),
  define({
    name: 'reply',
    args: '<id>',
    text: true,
    about: 'answer a message: to its sender, in its thread',
    flags: { intent, wait, timeout },
    examples: ['mesh reply m_3f2a9c41d0 -- "8080"'],
    load: async () => (await import('./reply.ts')).run,
  }),
  define({
    name: 'inbox',
    args: '[id]',
    about: 'show unread messages, oldest first, and mark them as read; with an ID, show that message again',
    flags: {
      peek: ['--peek', 'leave the messages unread'],
      follow: ['--follow', 'print messages as they come, until interrupted'],
      limit: ['--limit <n>', 'at most this many messages'],
    },
    examples: ['mesh inbox', 'mesh inbox --peek --json', 'mesh inbox --follow --json', 'mesh inbox m_3f2a9c41d0'],
    load: async () => (await import('./inbox.ts')).run,
  }),
  define({
    name: 'wait',
    args: '[...target]',
    about:
      'block until something happens: a run or a child session ends, a session is idle, ends or is lost, a message is replied to; without arguments, until a message comes',
    flags: {
      until: ['--until <what>', 'idle, end, message or progress (default: a session is idle or ends, a run ends)'],
      all: ['--all', 'wait for all of them, not only the first'],
      timeout,
    },
    removed: { '--any': 'mesh wait returns with the first target anyway; leave the flag out' },
    examples: ['mesh wait', 'mesh wait api-worker --until idle', 'mesh wait m_3f2a9c41d0 --timeout 5m'],
    load: async () => (await import('./wait.ts')).run,
  }),
  define({
    name: 'trace',
    reads: 'own',
    args: '<id>',
    about: 'show what happened to a message or a run (its ID or name), step by step, with the proof of each step',
    flags: viewFlags,
    examples: ['mesh trace m_3f2a9c41d0', 'mesh trace r_3f2a9c41d0'],
    load: async () => (await import('./trace.ts')).run,
  }),
  define({
    name: 'topic join',
    args: '<topic>',
    about: 'read a topic from now on',
    examples: ['mesh topic join builds'],
    load: async () => (await membership()).topicJoin,
  }),
  define({
    name: 'topic leave',
    args: '<topic>',
    about: 'stop reading a topic',
    examples: ['mesh topic leave builds'],
    load: async () => (await membership()).topicLeave,
  }),
  define({
    name: 'topic list',
    reads: 'any',
    about: 'list the topics and who reads them',
    examples: ['mesh topic list'],
    load: async () => (await membership()).topicList,
  }),
  define({
    name: 'role add',
    args: '<role>',
    about: 'take messages of a role; each goes to one taker',
    examples: ['mesh role add reviewer'],
    load: async () => (await membership()).roleAdd,
  }),
  define({
    name: 'role rm',
    args: '<role>',
    about: 'stop taking messages of a role',
    examples: ['mesh role rm reviewer'],
    load: async () => (await membership()).roleRemove,
  }),
  define({
    name: 'role list',
    reads: 'any',
    about: 'list the roles and who has them',
    examples: ['mesh role list'],
    load: async () => (await membership()).roleList,
  }),
]
