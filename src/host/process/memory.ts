/** Counts the kernel's kills for want of memory where a process lives. Linux only: elsewhere there is no sign of them. */
import { readFileSync } from 'node:fs'

/**
 * The `oom_kill` counter of this process's memory control group: `memory.events` of cgroup v2, `memory.oom_control` of
 * v1 (kernel documentation, admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst). Null where there is none to read.
 */
export function oomKills(): number | null {
  if (process.platform !== 'linux') return null
  try {
    for (const line of readFileSync('/proc/self/cgroup', 'latin1').split('\n')) {
      const [, id, controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? []
      if (controllers?.split(',').includes('memory')) return counter(`/sys/fs/cgroup/memory${path}/memory.oom_control`)
      if (id === '0' && controllers === '') {
        const found = counter(`/sys/fs/cgroup${path}/memory.events`)
        if (found !== null) return found
      }
    }
  } catch {
    // No such files: no sign.
  }
  return null
}

function counter(path: string): number | null {
  try {
    const found = /^oom_kill (\d+)$/m.exec(readFileSync(path, 'latin1'))?.[1]
    return found === undefined ? null : Number(found)
  } catch {
    return null
  }
}
