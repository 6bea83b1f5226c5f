/** The commands of the task board. */
import { define } from '../../command.ts'
import { viewFlags } from '../../show/view.ts'

const label = ['--label <words…>', 'labels; also several times, or with commas'] as const
const after = ['--after <ids…>', 'tasks that have to be done first; also several times, or with commas'] as const
const body = ['--body <text>', 'what is to be done; - reads it from standard input'] as const
const priority = ['--priority <n>', '0 (first) to 9 (default: 5)'] as const
const result = ['--result <text>', 'what came of it; - reads it from standard input'] as const

const changes = () => import('./changes.ts')

export const taskCommands = [
  define({
    name: 'task add',
    args: '<title>',
    about: 'put a task on the board that all sessions of the project share',
    flags: { body, for: ['--for <who>', 'NAME or role:R'], after, priority, label },
    examples: [
      'mesh task add "port the parser" --for api-worker',
      'mesh task add review --for role:reviewer --after t_3f2a9c41 --label ci',
    ],
    load: async () => (await changes()).add,
  }),
  define({
    name: 'task list',
    reads: 'own',
    args: '[which]',
    about: 'list the tasks that are open (or mine, blocked, all), most urgent first',
    flags: { label, watch: ['--watch', 'show changes as they happen, until interrupted'], ...viewFlags },
    removed: {
      '--open': 'the open tasks are the default: mesh task list',
      '--mine': 'type: mesh task list mine',
      '--blocked': 'type: mesh task list blocked',
      '--all': 'type: mesh task list all',
    },
    examples: ['mesh task list', 'mesh task list mine --json', 'mesh task list all --watch'],
    load: async () => (await import('./list.ts')).run,
  }),
  define({
    name: 'task show',
    reads: 'own',
    args: '<id>',
    about: 'show a task and what it waits for',
    flags: viewFlags,
    examples: ['mesh task show t_3f2a9c41'],
    load: async () => (await import('./show.ts')).show,
  }),
  define({
    name: 'task claim',
    args: '[id]',
    about: 'take a task; the claim expires when its holder is gone',
    flags: {
      next: ['--next', 'the most urgent task that is ready and for you'],
      wait: ['--wait', 'wait until there is one'],
      timeout: ['--timeout <time>', 'stop waiting after 500ms, 30s, 5m, 2h …'],
    },
    examples: ['mesh task claim t_3f2a9c41', 'mesh task claim --next --wait --timeout 1h'],
    load: async () => (await import('./claim.ts')).run,
  }),
  define({
    name: 'task done',
    args: '<id>',
    about: 'finish a task',
    flags: { result },
    examples: [
      'mesh task done t_3f2a9c41 --result "merged as 4f2c"',
      'npm test | mesh task done t_3f2a9c41 --result -',
    ],
    load: async () => (await changes()).done,
  }),
  define({
    name: 'task fail',
    args: '<id>',
    about: 'finish a task as failed; tasks after it go on waiting',
    flags: { result },
    examples: ['mesh task fail t_3f2a9c41 --result "the API is gone"'],
    load: async () => (await changes()).fail,
  }),
  define({
    name: 'task release',
    args: '<id>',
    about: 'give a task back that you claimed',
    examples: ['mesh task release t_3f2a9c41'],
    load: async () => (await changes()).release,
  }),
  define({
    name: 'task block',
    args: '<id>',
    about: 'make a task wait for another one, or for something else',
    flags: { on: ['--on <what>', 'a task ID, or words'] },
    examples: ['mesh task block t_3f2a9c41 --on t_77aa01bc', 'mesh task block t_3f2a9c41 --on "the new key"'],
    load: async () => (await changes()).block,
  }),
  define({
    name: 'task unblock',
    args: '<id>',
    about: 'end its waiting: for one thing, or for all that was said in words',
    flags: { on: ['--on <what>', 'a task ID, or words'] },
    examples: ['mesh task unblock t_3f2a9c41', 'mesh task unblock t_3f2a9c41 --on t_77aa01bc'],
    load: async () => (await changes()).unblock,
  }),
  define({
    name: 'task cancel',
    args: '<id>',
    about: 'take a task off the board',
    examples: ['mesh task cancel t_3f2a9c41'],
    load: async () => (await changes()).cancel,
  }),
  define({
    name: 'task edit',
    args: '<id>',
    about: 'change what a task says, who it is for, or what it comes after',
    flags: {
      title: ['--title <text>', 'another title'],
      body,
      for: ['--for <who>', 'NAME or role:R; "anybody" takes the name off'],
      after,
      priority,
      label,
    },
    examples: ['mesh task edit t_3f2a9c41 --priority 0 --for role:reviewer'],
    load: async () => (await changes()).edit,
  }),
  define({
    name: 'task comment',
    args: '<id>',
    text: true,
    about: 'comment on a task',
    examples: ['mesh task comment t_3f2a9c41 -- "half done"'],
    load: async () => (await changes()).comment,
  }),
  define({
    name: 'task link',
    args: '<id> <to>',
    about: 'tie a run or a message to a task',
    examples: ['mesh task link t_3f2a9c41 m_52a54f1a820d537b9680b20567ebb876'],
    load: async () => (await changes()).link,
  }),
  define({
    name: 'task history',
    reads: 'own',
    args: '<id>',
    about: 'show every change of a task',
    flags: viewFlags,
    examples: ['mesh task history t_3f2a9c41'],
    load: async () => (await import('./show.ts')).history,
  }),
]
