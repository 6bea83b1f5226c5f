/** The commands on runs: work that is supervised, announced and waited for. */
import { define } from '../../command.ts'
import { viewFlags } from '../../show/view.ts'

const notify = ['--notify <what>', 'progress: wake you on progress too, not only when it waits or ends'] as const

export const runCommands = [
  define({
    name: 'run',
    command: true,
    about: 'run a command under supervision: mesh reports how it ends, whatever happens; exits with its code',
    flags: {
      name: ['--name <name>', 'the name of the run'],
      timeout: ['--timeout <time>', 'end the command after 500ms, 30s, 5m, 2h …'],
      detach: ['--detach', 'do not wait: mesh logs has its output, and you are notified of its end'],
      cwd: ['--cwd <dir>', 'the directory that the command runs in'],
      notify,
    },
    examples: [
      'mesh run -- npm test',
      'mesh run --detach --name build --timeout 1h -- make all',
      "mesh run --json -- sh -c 'exit 7'",
    ],
    load: async () => (await import('./run.ts')).run,
  }),
  define({
    name: 'attach',
    args: '<pid>',
    about: 'supervise a process that runs already: you are notified of its end, with its code where the system has it',
    flags: { name: ['--name <name>', 'the name of the run'] },
    examples: ['mesh attach 4711', 'mesh attach $! --name migration'],
    load: async () => (await import('./attach.ts')).run,
  }),
  define({
    name: 'spawn',
    text: true,
    about: 'start a new session for a prompt; you are notified of its end and its result',
    flags: {
      name: ['--name <name>', 'the name of the session (default: made from yours)'],
      worktree: ['--worktree', "in a git worktree of its own, which stays: the client's .claude/worktrees/<name>"],
      bg: ['--bg', "in the client's background: people can attach to it, it waits for their permissions"],
      timeout: ['--timeout <time>', 'end it after 30s, 5m, 2h …'],
      notify,
      schema: ['--schema <file>', 'a JSON Schema that its result has to fit'],
      model: ['--model <name>', 'its model'],
      permissionMode: [
        '--permission-mode <mode>',
        "the client's: acceptEdits, auto, bypassPermissions, dontAsk, manual, plan",
      ],
      allowedTools: ['--allowed-tools <rules>', 'tools that it may use unasked, for example "Bash(npm test:*),Edit"'],
    },
    removed: { '--print': 'a session runs without a terminal unless --bg is given; leave the flag out' },
    examples: [
      'mesh spawn --name tests -- "Run the tests and mend what fails."',
      'mesh spawn --worktree --permission-mode acceptEdits -- "Port lib/ to ES modules."',
      'cat review.md | mesh spawn --schema verdict.schema.json --timeout 10m -',
    ],
    load: async () => (await import('./spawn.ts')).run,
  }),
  define({
    name: 'done',
    about: 'report that the work of this spawned session is over, and with what result',
    flags: {
      failed: ['--failed', 'the work could not be done'],
      result: ['--result <json>', 'the result, as JSON; - reads it from standard input'],
    },
    examples: ['mesh done --result \'{"passed":12}\'', 'mesh done --failed --result \'"offline"\''],
    load: async () => (await import('./done.ts')).run,
  }),
  define({
    name: 'tree',
    reads: 'any',
    about: 'show the runs of this project, each below the run that started it',
    flags: viewFlags,
    examples: ['mesh tree', 'mesh tree --json'],
    load: async () => (await import('./tree.ts')).run,
  }),
  define({
    name: 'logs',
    reads: 'own',
    args: '<run>',
    about: 'print the output of a detached run of this machine',
    flags: {
      follow: ['-f, --follow', 'go on printing what comes, until the run ends or you interrupt'],
      stderr: ['--stderr', 'its standard error instead of its standard output'],
      lines: ['-n, --lines <n>', 'the last lines only'],
    },
    examples: ['mesh logs build -f', 'mesh logs r_3f2a9c41d0 --stderr -n 20'],
    load: async () => (await import('./logs.ts')).run,
  }),
  define({
    name: 'stop',
    args: '<run>',
    about: 'end a run: a signal to all its processes, SIGKILL after a grace; waits until it is over',
    flags: {
      signal: ['--signal <name>', 'the first signal (default: TERM)'],
      grace: ['--grace <time>', 'the time until SIGKILL (default: 10s)'],
      yes: ['--yes', 'end also a session that a person started, unasked'],
    },
    examples: ['mesh stop build', 'mesh stop r_3f2a9c41d0 --signal INT --grace 30s'],
    load: async () => (await import('./stop.ts')).run,
  }),
  define({
    name: 'progress',
    args: '<text>',
    about: 'report how far this run is; from inside it',
    flags: { percent: ['--percent <n>', 'the share that is done'] },
    examples: ['mesh progress "half of the tests ran" --percent 50'],
    load: async () => (await import('./progress.ts')).run,
  }),
  define({
    name: 'events',
    reads: 'any',
    about: 'print what happened to runs, oldest first',
    flags: {
      run: ['--run <id>', 'of this run only'],
      owner: ['--owner <name>', 'of the runs of this session only'],
      since: ['--since <time>', 'from this long ago, for example 10m, or from a time in ISO 8601'],
      follow: ['-f, --follow', 'go on printing what comes, until the run ends or you interrupt'],
      ...viewFlags,
    },
    examples: ['mesh events --since 1h', 'mesh events --run build --json', 'mesh events --owner api --follow --json'],
    load: async () => (await import('./events.ts')).run,
  }),
]
