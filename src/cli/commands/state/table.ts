/** The commands on coordination state. */
import { define } from '../../command.ts'
import { viewFlags } from '../../show/view.ts'

const shared = ['--shared <name>', 'the document of this name that all sessions of the project share'] as const
const ifRev = ['--if-rev <n>', 'only if the key was set last in this revision; 0: only if it is not there'] as const

const document = () => import('./document.ts')

export const stateCommands = [
  define({
    name: 'state set',
    args: '<key> [value]',
    text: true,
    about: 'keep a text under a key: it returns to the context after a compaction, and stays with the name',
    flags: { shared, ifRev },
    examples: [
      'mesh state set plan "parser first, then the docs"',
      'git diff | mesh state set diff -',
      'mesh state set owner alice --shared release --if-rev 0',
    ],
    load: async () => (await document()).set,
  }),
  define({
    name: 'state get',
    reads: 'own',
    args: '<key>',
    about: 'print what is kept under a key',
    flags: { shared, rev: ['--rev <n>', 'as it was in this revision'] },
    examples: ['mesh state get plan', 'mesh state get plan --rev 4', 'mesh state get owner --shared release'],
    load: async () => (await document()).get,
  }),
  define({
    name: 'state list',
    reads: 'own',
    about: 'list the keys, their revisions, and how their values begin',
    flags: { shared, ...viewFlags },
    examples: ['mesh state list', 'mesh state list --shared release --json'],
    load: async () => (await document()).list,
  }),
  define({
    name: 'state rm',
    args: '<key>',
    about: 'remove a key; earlier revisions still have it',
    flags: { shared, ifRev },
    examples: ['mesh state rm plan'],
    load: async () => (await document()).remove,
  }),
  define({
    name: 'state note',
    args: '[text]',
    text: true,
    about: 'keep a remark with its time; the newest hundred stay',
    flags: { shared },
    examples: ['mesh state note "the flaky test is the clock"', 'mesh state note -- "-v was no help"'],
    load: async () => (await document()).note,
  }),
  define({
    name: 'state show',
    reads: 'own',
    about: 'show what is kept and what is open: asks, waits, answers owed, runs, tasks',
    flags: viewFlags,
    examples: ['mesh state show', 'mesh state show --json'],
    load: async () => (await import('./show.ts')).run,
  }),
  define({
    name: 'state history',
    reads: 'own',
    about: 'list the last changes; state get --rev reads what was there',
    flags: { shared, ...viewFlags },
    examples: ['mesh state history'],
    load: async () => (await document()).history,
  }),
  define({
    name: 'state export',
    reads: 'own',
    about: 'print the whole document as JSON',
    flags: { shared },
    examples: ['mesh state export > state.json'],
    load: async () => (await document()).exportAll,
  }),
  define({
    name: 'handoff',
    args: '<name>',
    about: 'give your kept state, your tasks, your file claims and your unread mail to another session',
    examples: ['mesh handoff api-worker'],
    load: async () => (await import('./handoff.ts')).run,
  }),
]
