/** The commands on sessions: who is there, under which name, how alive. */
import { define } from '../../command.ts'
import { viewFlags } from '../../show/view.ts'

export const sessionCommands = [
  define({
    name: 'ps',
    reads: 'any',
    about: 'list the sessions of this project and the state of each (also: mesh who)',
    flags: {
      runs: ['--runs', 'list the runs instead of the sessions'],
      watch: ['--watch', 'show changes as they happen, until interrupted'],
      all: ['--all', 'also those that are gone, which a terminal shows as a count'],
      allProjects: ['--all-projects', 'of every project that has a session on this machine'],
      short: ['--short', 'one line for a prompt: who is there, who waits for a person, your unread messages'],
      ...viewFlags,
    },
    examples: [
      'mesh ps',
      'mesh ps --all -v',
      'mesh ps --all-projects',
      'mesh ps --short',
      'mesh ps --runs',
      'mesh ps --watch',
      'mesh ps --json',
    ],
    load: async () => (await import('./ps.ts')).run,
  }),
  define({
    name: 'alive',
    reads: 'any',
    args: '<name>',
    about: 'check whether a session is alive: exit 0 alive, 3 unknown, 4 not alive',
    examples: ['mesh alive api-worker && mesh send api-worker -- "still there?"'],
    load: async () => (await import('./alive.ts')).run,
  }),
  define({
    name: 'ping',
    args: '<name>',
    about: 'check that a session can be reached: its sidecar answers; with --wake its model reads a short message',
    flags: {
      wake: ['--wake', 'have the model read a short message, which proves a way in'],
      timeout: ['--timeout <time>', 'stop waiting after 500ms, 30s, 5m, 2h …'],
    },
    examples: ['mesh ping api-worker', 'mesh ping api-worker --wake --timeout 1m'],
    load: async () => (await import('./ping.ts')).run,
  }),
  define({
    name: 'whoami',
    reads: 'own',
    about: 'show the session that this shell acts as',
    flags: { verbose: viewFlags.verbose },
    examples: ['mesh whoami', 'mesh whoami --as deploy'],
    load: async () => (await import('./whoami.ts')).run,
  }),
  define({
    name: 'rename',
    args: '<name> [new]',
    about: 'give this session another name, or the session NAME the name NEW; its mail comes along',
    examples: ['mesh rename api-worker', 'mesh rename repo-2 api-worker'],
    load: async () => (await import('./names.ts')).rename,
  }),
  define({
    name: 'leave',
    args: '[name]',
    about: "end the session of this shell, or that of another person's shells; its name and mail wait for its return",
    examples: ['mesh leave', 'mesh leave tpyo'],
    load: async () => (await import('./names.ts')).leave,
  }),
  define({
    name: 'forget',
    args: '<name>',
    about: 'remove the name of a session that is gone, with its unread mail',
    examples: ['mesh forget old-worker'],
    load: async () => (await import('./names.ts')).forget,
  }),
  define({
    name: 'budget',
    reads: 'any',
    about: 'show how often sessions answered each other without a person, and whose messages are held for that',
    examples: ['mesh budget', 'mesh budget --json'],
    load: async () => (await import('./budget.ts')).show,
  }),
  define({
    name: 'budget resume',
    args: '[name]',
    about: 'release the held messages of a session and its peers (people only)',
    flags: { all: ['--all', 'of all sessions'] },
    examples: ['mesh budget resume api-worker', 'mesh budget resume --all'],
    load: async () => (await import('./budget.ts')).resume,
  }),
]
