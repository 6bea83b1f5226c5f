/** Describes a session with the mail of its name. */
import type { Entry } from '../../core/mail/inbox.ts'
import type { Session } from '../session.ts'
import type { LoopGuard } from './loops.ts'
import type { Mailbox } from './mailbox.ts'
import type { Sender } from './outbox.ts'
import type { Receipts, Steps } from './receipts.ts'
import type { Recipients } from './recipients.ts'
import type { Roles } from './roles.ts'
import type { Storage } from './storage.ts'

export interface MailSession extends Session {
  /** The mailbox. Throws `mesh_down` before the session has a name, as does `sender`. */
  readonly mailbox: Mailbox
  readonly sender: Sender
  readonly receipts: Receipts
  readonly recipients: Recipients
  readonly loops: LoopGuard
  readonly steps: Steps
  readonly roles: Roles
  /** The name's files on this machine; null before the session has a name, and while it changes it. */
  readonly storage: Storage | null
  /** Writes the surfaced record if it changed. */
  save(): Promise<void>
  /** Returns a message by its position in the stream; undefined if it is not there or not readable. */
  stored(seq: number): Promise<Entry | undefined>
}
