/** The commands on coordination state. Data; the code loads when it runs. */
import type { CommandInfo } from '../../flags.ts'

export const stateCommands: readonly CommandInfo[] = [
  {
    name: 'state set',
    args: '<key> [value]',
    text: true,
    about: 'keep a text under a key: it is in the context again after a compaction, and goes with the name',
    flags: ['shared', 'ifRev'],
    examples: [
      'mesh state set plan "parser first, then the docs"',
      'git diff | mesh state set diff -',
      'mesh state set owner alice --shared release --if-rev 0',
    ],
    load: () => import('./set.ts'),
  },
  {
    name: 'state get',
    args: '<key>',
    about: 'print what is kept under a key',
    flags: ['shared', 'rev'],
    examples: ['mesh state get plan', 'mesh state get plan --rev 4', 'mesh state get owner --shared release'],
    load: () => import('./get.ts'),
  },
  {
    name: 'state list',
    about: 'list the keys, their revisions, and how their values begin',
    flags: ['shared'],
    examples: ['mesh state list', 'mesh state list --shared release --json'],
    load: () => import('./list.ts'),
  },
  {
    name: 'state rm',
    args: '<key>',
    about: 'keep a key no longer; earlier revisions have it',
    flags: ['shared', 'ifRev'],
    examples: ['mesh state rm plan'],
    load: () => import('./rm.ts'),
  },
  {
    name: 'state note',
    args: '[text]',
    text: true,
    about: 'keep a remark with its time; the newest hundred stay',
    flags: ['shared'],
    examples: ['mesh state note "the flaky test is the clock"', 'mesh state note -- "-v was no help"'],
    load: () => import('./note.ts'),
  },
  {
    name: 'state show',
    about: 'show what is kept and what is open: asks, waits, answers owed, runs, tasks',
    examples: ['mesh state show', 'mesh state show --json'],
    load: () => import('./show.ts'),
  },
  {
    name: 'state history',
    about: 'list the last changes; state get --rev reads what was there',
    flags: ['shared'],
    examples: ['mesh state history'],
    load: () => import('./history.ts'),
  },
  {
    name: 'state export',
    about: 'print the whole document as JSON',
    flags: ['shared'],
    examples: ['mesh state export > state.json'],
    load: () => import('./export.ts'),
  },
  {
    name: 'handoff',
    args: '<name>',
    about: 'give your kept state, the tasks and files you hold and your unread mail to another session',
    examples: ['mesh handoff api-worker'],
    load: () => import('./handoff.ts'),
  },
]
