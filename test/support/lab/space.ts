/** Process spaces for tests: a command runs in a PID namespace of its own, as in a sandbox or a container. */
import { spawnSync } from 'node:child_process'

export interface Space {
  name: string
  /** Returns the command line that runs `argv` in it. */
  wrap(argv: readonly string[]): string[]
}

const asUser = process.getuid?.() === 0 ? [] : ['-Ur']

/** Shares the network and all files with the space around it. */
export const unshared: Space = {
  name: 'unshare',
  wrap: (argv) => ['unshare', ...asUser, '-pf', '--mount-proc', '--kill-child', ...argv],
}

/** A network of its own: no port of the space around it can be reached. */
export const offline: Space = {
  name: 'unshare without the network',
  wrap: (argv) => ['unshare', ...asUser, '-pfn', '--mount-proc', '--kill-child', ...argv],
}

/** Sees the /proc of the space around it, as a weak sandbox does. */
export const foreignProc: Space = {
  name: 'unshare with the outer /proc',
  wrap: (argv) => ['unshare', ...asUser, '-pf', '--kill-child', ...argv],
}

export const bubblewrap: Space = {
  name: 'bubblewrap',
  wrap: (argv) => [
    ...['bwrap', '--bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
    ...['--unshare-pid', '--unshare-ipc', '--die-with-parent', ...argv],
  ],
}

/** False where the system, or the container that the tests run in, has no such space. */
export function isThere({ wrap }: Space): boolean {
  const [command, ...args] = wrap(['true'])
  return spawnSync(command!, args, { timeout: 10_000 }).status === 0
}
