/** A person at a shell, a cron job or CI: no client, no doors; mail is read by the mesh command. */
import { MeshError } from '../errors.ts'
import { identifyProcess } from '../host/process/process.ts'
import type { Harness, HarnessEvents } from './types.ts'

/** Returns the id of an operator's conversation: one under each name. */
export function operatorSession(name: string): string {
  return `operator:${name}`
}

/** Opens an operator's session: the sidecar itself is the process that witnesses look at. */
export function createShell(name: string, cwd: string): Harness {
  const process_ = identifyProcess(process.pid)
  if (!process_) throw new MeshError('internal', 'cannot read the own process')
  const conversation = { sessionId: operatorSession(name), source: 'startup', cwd } as const
  return {
    kind: 'shell',
    process: process_,
    conversation,
    doors: [],
    async start(events: HarnessEvents) {
      events.status('idle')
      await events.conversation(conversation)
    },
    async stop() {},
  }
}
