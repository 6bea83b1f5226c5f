/** The commands on runs: work that is supervised, announced and waited for. */
import type { CommandInfo } from './flags.ts'

export const runCommands: readonly CommandInfo[] = [
  {
    name: 'run',
    command: true,
    about: 'run a command under supervision: whatever happens, its end is told; exits with its code',
    flags: ['runName', 'timeLimit', 'detach', 'cwd'],
    examples: [
      'mesh run -- npm test',
      'mesh run --detach --name build --timeout 1h -- make all',
      "mesh run --json -- sh -c 'exit 7'",
    ],
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'attach',
    args: '<pid>',
    about: 'supervise a process that runs already: its end is told to you, its code where the system gives it',
    flags: ['runName'],
    examples: ['mesh attach 4711', 'mesh attach $! --name migration'],
    load: () => import('./commands/attach.ts'),
  },
  {
    name: 'tree',
    about: 'show the runs of this project, each below the run that started it',
    examples: ['mesh tree', 'mesh tree --json'],
    load: () => import('./commands/tree.ts'),
  },
  {
    name: 'logs',
    args: '<run>',
    about: 'print the output of a detached run of this machine',
    flags: ['followRun', 'stderr', 'lines'],
    examples: ['mesh logs build -f', 'mesh logs r_3f2a9c41d0 --stderr -n 20'],
    load: () => import('./commands/logs.ts'),
  },
  {
    name: 'stop',
    args: '<run>',
    about: 'end a run: a signal to all its processes, SIGKILL after a grace; waits until it is over',
    flags: ['signal', 'grace'],
    examples: ['mesh stop build', 'mesh stop r_3f2a9c41d0 --signal INT --grace 30s'],
    load: () => import('./commands/stop.ts'),
  },
  {
    name: 'progress',
    args: '<text>',
    about: 'from inside a run: tell how far it is',
    flags: ['percent'],
    examples: ['mesh progress "half of the tests ran" --percent 50'],
    load: () => import('./commands/progress.ts'),
  },
  {
    name: 'events',
    about: 'print what happened to runs, oldest first',
    flags: ['ofRun', 'ofOwner', 'since', 'followRun'],
    examples: ['mesh events --since 1h', 'mesh events --run build --json', 'mesh events --owner api --follow --json'],
    load: () => import('./commands/events.ts'),
  },
]
