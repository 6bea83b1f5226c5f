/** Opens the doors of a session, best first, and passes on what shows that a text went through one. */
import type { Env } from '../../../host/home.ts'
import type { SessionStatus } from '../../../wire/envelope.schema.ts'
import type { Door, SessionOptions } from '../../types.ts'
import { hasHooks } from '../mcp-parent.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import { HookDoor } from './hook.ts'
import { InboxDoor } from './inbox.ts'
import { ModuleDoor } from './module.ts'
import { WatchDoor } from './watch.ts'

export interface Doors {
  readonly module: ModuleDoor
  readonly hook: HookDoor
  readonly inbox: InboxDoor
  readonly all: readonly Door[]
}

/** `onRead`: the client has read the text with this token off its inbox socket. */
export function openDoors(
  { env, sessionDir, log }: Pick<SessionOptions, 'env' | 'sessionDir' | 'log'>,
  sidecar: SidecarEvents,
  status: () => SessionStatus | null,
  onRead: (token: string) => void,
): Doors {
  const isHooked = () => hasHooks(sessionDir)
  const module = new ModuleDoor(sessionDir, sidecar, status, log)
  const hook = new HookDoor(sessionDir, isHooked)
  const inbox = new InboxDoor(env, onRead, () => !isHooked() && !module.available())
  const watch = new WatchDoor(sessionDir, () => isAttended(env) && isHooked() && !inbox.works())
  return { module, hook, inbox, all: [module, hook, watch, inbox] }
}

/** Returns true when a person sits at the client. */
export function isAttended(env: Env): boolean {
  return (env.CLAUDE_CODE_ENTRYPOINT ?? 'cli') === 'cli'
}
