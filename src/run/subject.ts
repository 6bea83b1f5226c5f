/** The process that a supervisor watches: one that it started, or one that ran already. */
import { MeshError } from '../errors.ts'
import { leadsGroup, processState, sendSignal } from '../host/process/process.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'

/** Exit of a process. Both null: it is gone, and the system did not say how. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface RunSubject {
  readonly identity: ProcessIdentity
  readonly isOver: boolean
  /** Processes of its own are left, and are ours to end. */
  readonly hasGroup: boolean
  /** The last bytes on standard error, as text. */
  readonly stderrTail: string
  /** Its standard error is a terminal, which keeps no last words. */
  readonly isOnTerminal?: boolean
  /** Lets it begin. */
  go(): void
  /** Resolves when the process itself has ended, whatever it left behind. */
  exit(): Promise<Exit>
  /** Reads what the process had written before it ended. */
  drain(): Promise<void>
  /** Zero only looks. False if nothing of it is left; throws `denied` for another user's. */
  signal(signal: NodeJS.Signals | 0): boolean
  /** Signals it, and kills what is left of it after `graceMs`. */
  end(signal: NodeJS.Signals, graceMs: number): Promise<void>
}

/** True if the group was there. Only while its leader's pid is known not to be another's: a group keeps its number. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    // Of several users' processes some may be out of reach: the group is there.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Signals the whole group of one that leads a group, as a shell's job does; else it alone, since its group is another's
 * too. False if it is gone. Throws `denied` for another user's.
 */
export function signalAttached(identity: ProcessIdentity, signal: NodeJS.Signals | 0): boolean {
  try {
    if (!leadsGroup(identity.pid)) return sendSignal(identity, signal)
    // Its number may be another's by now.
    if (processState(identity) === 'dead') return false
    process.kill(identity.pid, 0)
    return signalGroup(identity.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    throw new MeshError('denied', `process ${identity.pid} belongs to another user`)
  }
}
