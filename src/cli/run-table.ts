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
]
