/** Every command: how it is called, what it takes, and where its code is. Data; the code loads when it runs. */
import type { Context } from './context.ts'

/** Flags with a value have it in angle brackets. Each is at home in every command that lists it. */
export const flagTable = {
  json: ['--json', 'print JSON, errors included'],
  as: ['--as <name>', 'act as the operator of this name (default: MESH_NAME, else the login name)'],
  thread: ['--thread <name>', 'the thread that the message belongs to'],
  replyTo: ['--reply-to <id>', 'the message that this one answers'],
  intent: ['--intent <word>', 'what the message is for, for example request or info'],
  wait: ['--wait <state>', 'wait until it is stored, delivered, surfaced, or a reply came'],
  timeout: ['--timeout <time>', 'stop waiting after 500ms, 30s, 5m, 2h …'],
  peek: ['--peek', 'leave the messages unread'],
  follow: ['--follow', 'print messages as they come, until interrupted'],
  watch: ['--watch', 'show changes as they happen, until interrupted'],
  limit: ['--limit <n>', 'at most this many messages'],
  wake: ['--wake', 'have the model read a short message: proves a door'],
  until: ['--until <what>', 'idle, end or message (default: idle or end)'],
  fix: ['--fix', 'mend what can be mended without a decision of yours, and look again'],
  end: ['--end', 'end them: SIGTERM, and SIGKILL after 3 s'],
  all: ['--all', 'all of them'],
  project: ['--project', "only for this repository: its settings.local.json instead of the user's settings"],
  plugin: ['--plugin', 'as a plugin of the client instead of lines in its settings'],
  print: ['--print', 'show what would be written, and where; write nothing'],
  allow: ['--allow', 'also let the model run the commands that read and talk without a dialog'],
} as const satisfies Record<string, readonly [string, string]>

export type FlagName = keyof typeof flagTable
type Takes<F extends FlagName> = (typeof flagTable)[F][0] extends `${string}<${string}` ? string : true
export type Flags = { [F in FlagName]?: Takes<F> }

export interface CommandInfo {
  /** One or two words. */
  name: string
  /** Positional arguments in cac's notation: `<needed>`, `[optional]`, `<...several>`. */
  args?: string
  about: string
  /** The command takes a text: after `--`, or from standard input with `-`. */
  text?: true
  flags?: readonly FlagName[]
  examples: readonly string[]
  /** Left out of the list that `mesh` alone prints. */
  rare?: true
  load(): Promise<{ run(context: Context): Promise<number | undefined> }>
}

/** For every command. */
export const commonFlags: readonly FlagName[] = ['as', 'json']

const sendFlags: readonly FlagName[] = ['thread', 'replyTo', 'intent', 'wait', 'timeout']

export const commands: readonly CommandInfo[] = [
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
    load: () => import('./commands/send.ts'),
  },
  {
    name: 'ask',
    args: '<to>',
    text: true,
    about: 'send a message and wait for its reply',
    flags: ['thread', 'intent', 'timeout'],
    examples: ['mesh ask api-worker -- "which port?"', 'mesh ask role:reviewer --timeout 10m -- "is this safe?"'],
    load: () => import('./commands/ask.ts'),
  },
  {
    name: 'reply',
    args: '<id>',
    text: true,
    about: 'answer a message: to its sender, in its thread',
    flags: ['intent', 'wait', 'timeout'],
    examples: ['mesh reply m_3f2a9c41d0 -- "8080"'],
    load: () => import('./commands/reply.ts'),
  },
  {
    name: 'inbox',
    args: '[id]',
    about: 'show unread messages, oldest first; what was shown is read; with an ID, that message again',
    flags: ['peek', 'follow', 'limit'],
    examples: ['mesh inbox', 'mesh inbox --peek --json', 'mesh inbox --follow --json', 'mesh inbox m_3f2a9c41d0'],
    load: () => import('./commands/inbox.ts'),
  },
  {
    name: 'wait',
    args: '[...target]',
    about:
      'block until a session is idle, ends or is lost, a message is replied to, or (without arguments) a message comes',
    flags: ['until', 'all', 'timeout'],
    examples: ['mesh wait', 'mesh wait api-worker --until idle', 'mesh wait m_3f2a9c41d0 --timeout 5m'],
    load: () => import('./commands/wait.ts'),
  },
  {
    name: 'trace',
    args: '<id>',
    about: 'show what happened to a message, step by step, each with its evidence',
    examples: ['mesh trace m_3f2a9c41d0'],
    load: () => import('./commands/trace.ts'),
  },
  {
    name: 'ps',
    about: 'list the sessions of this project and the state of each (also: mesh who)',
    flags: ['watch'],
    examples: ['mesh ps', 'mesh ps --watch', 'mesh ps --json'],
    load: () => import('./commands/ps.ts'),
  },
  {
    name: 'alive',
    args: '<name>',
    about: 'tell whether a session is alive: exit 0 alive, 3 unknown, 4 not alive',
    examples: ['mesh alive api-worker && mesh send api-worker -- "still there?"'],
    load: () => import('./commands/alive.ts'),
  },
  {
    name: 'ping',
    args: '<name>',
    about: 'reach a session: its sidecar answers; with --wake its model reads a short message, which proves a door',
    flags: ['wake', 'timeout'],
    examples: ['mesh ping api-worker', 'mesh ping api-worker --wake --timeout 1m'],
    load: () => import('./commands/ping.ts'),
  },
  {
    name: 'whoami',
    about: 'show the session that this shell acts as',
    examples: ['mesh whoami', 'mesh whoami --as deploy'],
    load: () => import('./commands/whoami.ts'),
  },
  {
    name: 'rename',
    args: '<name>',
    about: 'give this session another name; its mail comes along',
    examples: ['mesh rename api-worker'],
    load: () => import('./commands/rename.ts'),
  },
  {
    name: 'forget',
    args: '<name>',
    about: 'remove the name of a session that is gone, with its unread mail',
    examples: ['mesh forget old-worker'],
    load: () => import('./commands/forget.ts'),
  },
  {
    name: 'topic join',
    args: '<topic>',
    about: 'read a topic from now on',
    examples: ['mesh topic join builds'],
    load: () => import('./commands/topic-join.ts'),
  },
  {
    name: 'topic leave',
    args: '<topic>',
    about: 'no longer read a topic',
    examples: ['mesh topic leave builds'],
    load: () => import('./commands/topic-leave.ts'),
  },
  {
    name: 'topic list',
    about: 'list the topics and who reads them',
    examples: ['mesh topic list'],
    load: () => import('./commands/topic-list.ts'),
  },
  {
    name: 'role add',
    args: '<role>',
    about: 'take messages of a role; each goes to one taker',
    examples: ['mesh role add reviewer'],
    load: () => import('./commands/role-add.ts'),
  },
  {
    name: 'role rm',
    args: '<role>',
    about: 'no longer take messages of a role',
    examples: ['mesh role rm reviewer'],
    load: () => import('./commands/role-rm.ts'),
  },
  {
    name: 'role list',
    about: 'list the roles and who holds them',
    examples: ['mesh role list'],
    load: () => import('./commands/role-list.ts'),
  },
  {
    name: 'budget',
    about: 'show how often sessions answered each other without a person, and whose messages are held for that',
    examples: ['mesh budget', 'mesh budget --json'],
    load: () => import('./commands/budget.ts'),
  },
  {
    name: 'budget resume',
    args: '[name]',
    about: 'let the held messages of a session and its peers go on (people only)',
    flags: ['all'],
    examples: ['mesh budget resume api-worker', 'mesh budget resume --all'],
    load: () => import('./commands/budget-resume.ts'),
  },
  {
    name: 'up',
    about: 'start the engine',
    examples: ['mesh up'],
    load: () => import('./commands/up.ts'),
  },
  {
    name: 'down',
    about: "stop the engine and the operators' sidecars",
    examples: ['mesh down'],
    load: () => import('./commands/down.ts'),
  },
  {
    name: 'status',
    about: 'show whether the engine runs, and where',
    examples: ['mesh status', 'mesh status --json'],
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'doctor',
    about: 'find what is wrong with the set-up, and how to mend it; exit 0 only if nothing is',
    flags: ['fix', 'wake'],
    examples: ['mesh doctor', 'mesh doctor --fix', 'mesh doctor --json', 'mesh doctor --wake'],
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'orphans',
    about: 'list processes of mesh that serve no session any more',
    flags: ['end'],
    examples: ['mesh orphans', 'mesh orphans --end'],
    rare: true,
    load: () => import('./commands/orphans.ts'),
  },
  {
    name: 'install',
    about: "join every Claude Code session of this user: adds mesh's hooks to the settings",
    flags: ['project', 'plugin', 'allow', 'print'],
    examples: ['mesh install', 'mesh install --print', 'mesh install --project', 'mesh install --plugin --allow'],
    load: () => import('./commands/install.ts'),
  },
  {
    name: 'uninstall',
    about: 'take mesh out of Claude Code again, wherever it was installed',
    examples: ['mesh uninstall'],
    load: () => import('./commands/uninstall.ts'),
  },
  {
    name: 'mcp',
    about: 'be an MCP server on standard input and output, for a client that starts it',
    examples: ['mesh mcp'],
    load: () => import('./commands/mcp.ts'),
  },
  {
    name: 'demo',
    about: 'show in half a minute what mesh does, on a mesh of its own',
    examples: ['mesh demo'],
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'engine which',
    about: 'show the nats-server that mesh uses',
    examples: ['mesh engine which --json'],
    rare: true,
    load: () => import('./commands/engine-which.ts'),
  },
  {
    name: 'engine install',
    about: 'fetch the pinned nats-server now',
    examples: ['mesh engine install'],
    rare: true,
    load: () => import('./commands/engine-install.ts'),
  },
  {
    name: 'engine run',
    about: 'run the engine in the foreground, for a service manager',
    examples: ['mesh engine run'],
    rare: true,
    load: () => import('./commands/engine-run.ts'),
  },
  {
    name: 'project allow',
    args: '[project]',
    about: 'let this repository join the project that its .mesh.json names',
    examples: ['mesh project allow'],
    rare: true,
    load: () => import('./commands/project-allow.ts'),
  },
  {
    name: 'schema',
    about: 'print the JSON Schema of everything on the wire',
    examples: ['mesh schema > mesh.schema.json'],
    rare: true,
    load: () => import('./commands/schema.ts'),
  },
  {
    name: 'version',
    about: 'print the version',
    examples: ['mesh version', 'mesh version --json'],
    rare: true,
    load: () => import('./commands/version.ts'),
  },
]

/** Other words for a command. */
export const aliases: Readonly<Record<string, string>> = { who: 'ps' }
