/** The commands on sessions: who is there, under which name, how alive. */
import type { CommandInfo } from '../../flags.ts'

export const sessionCommands: readonly CommandInfo[] = [
  {
    name: 'ps',
    about: 'list the sessions of this project and the state of each (also: mesh who)',
    flags: ['runs', 'watch'],
    examples: ['mesh ps', 'mesh ps --runs', 'mesh ps --watch', 'mesh ps --json'],
    load: () => import('./ps.ts'),
  },
  {
    name: 'alive',
    args: '<name>',
    about: 'tell whether a session is alive: exit 0 alive, 3 unknown, 4 not alive',
    examples: ['mesh alive api-worker && mesh send api-worker -- "still there?"'],
    load: () => import('./alive.ts'),
  },
  {
    name: 'ping',
    args: '<name>',
    about: 'reach a session: its sidecar answers; with --wake its model reads a short message, which proves a door',
    flags: ['wake', 'timeout'],
    examples: ['mesh ping api-worker', 'mesh ping api-worker --wake --timeout 1m'],
    load: () => import('./ping.ts'),
  },
  {
    name: 'whoami',
    about: 'show the session that this shell acts as',
    examples: ['mesh whoami', 'mesh whoami --as deploy'],
    load: () => import('./whoami.ts'),
  },
  {
    name: 'rename',
    args: '<name>',
    about: 'give this session another name; its mail comes along',
    examples: ['mesh rename api-worker'],
    load: () => import('./rename.ts'),
  },
  {
    name: 'forget',
    args: '<name>',
    about: 'remove the name of a session that is gone, with its unread mail',
    examples: ['mesh forget old-worker'],
    load: () => import('./forget.ts'),
  },
  {
    name: 'budget',
    about: 'show how often sessions answered each other without a person, and whose messages are held for that',
    examples: ['mesh budget', 'mesh budget --json'],
    load: () => import('./budget.ts'),
  },
  {
    name: 'budget resume',
    args: '[name]',
    about: 'let the held messages of a session and its peers go on (people only)',
    flags: ['all'],
    examples: ['mesh budget resume api-worker', 'mesh budget resume --all'],
    load: () => import('./budget-resume.ts'),
  },
]
