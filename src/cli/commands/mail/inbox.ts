/** `mesh inbox`: show unread messages, and only then mark them as read. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Message } from '../../../api/ops.schema.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { limits } from '../../../wire/limits.ts'
import { type Context, misuse, type Switches, type Values } from '../../command.ts'
import { parseCount } from '../../input/units.ts'
import { checkId } from '../../input/values.ts'
import type { Output } from '../../output.ts'
import { messageLines, taken } from './messages.ts'

/** A wait of `--follow` ends this often, so that nothing unread stays behind one that missed it. */
const WAIT_MS = 20_000
const RETRY_MS = 500

type Flags = Switches<'peek' | 'follow'> & Values<'limit'>

export async function run(context: Context<Flags>): Promise<undefined> {
  const { flags } = context
  if (flags.follow && flags.peek) throw misuse(context.command, '--follow reads the messages, --peek does not')
  if (context.args[0] !== undefined) return again(context, checkId(context.args[0]))
  const limit = flags.limit === undefined ? undefined : parseCount(flags.limit, '--limit', 1, limits.inboxBatch)
  if (flags.follow) await follow(context.sidecar(), context.out)
  else await once(context, limit)
}

/** A message that came here, read or not. It stays as it is. */
async function again({ out, sidecar, flags, command }: Context<Flags>, id: string): Promise<undefined> {
  if (flags.follow || flags.peek || flags.limit) throw misuse(command, 'with an id it takes no other flags')
  const { messages } = await sidecar().call('inbox', { id })
  if (out.json) await out.value(messages)
  else await out.line(messages.map((message) => messageLines(message, Date.now())).join('\n\n'))
}

async function once({ flags, out, sidecar: find }: Context<Flags>, limit: number | undefined): Promise<void> {
  const sidecar = find()
  const { messages, more, handover } = await sidecar.call('inbox', { peek: flags.peek === true, limit })
  const now = Date.now()
  const rest = messages.length > 0 ? `${more} more: mesh inbox` : `${more} on their way`
  if (out.json) await out.value(messages)
  else if (messages.length === 0) await out.line(more > 0 ? `no unread messages now; ${rest}` : 'no unread messages')
  else await out.line(messages.map((message) => messageLines(message, now)).join('\n\n'))
  if (more > 0 && (out.json || messages.length > 0)) out.note(rest)
  await taken(sidecar, handover, out)
}

/** Survives the restarts of its sidecar: what was not taken comes again. */
async function follow(sidecar: Sidecar, out: Output): Promise<never> {
  for (;;) {
    try {
      const unread = await sidecar.call('inbox', { follow: true })
      await showEach(sidecar, unread.messages, unread.handover, out)
      if (unread.messages.length === 0) await awaitNext(sidecar, out)
    } catch (error) {
      if (!['sidecar_down', 'timeout'].includes(MeshError.from(error).code) || isBroken(error)) throw error
      await sleep(RETRY_MS)
    }
  }
}

async function awaitNext(sidecar: Sidecar, out: Output): Promise<void> {
  const { results, handover } = await sidecar.call('wait', { targets: [], timeoutMs: WAIT_MS }, { timeoutMs: 0 })
  const messages = results.filter((result): result is Message => 'id' in result)
  await showEach(sidecar, messages, handover, out)
}

async function showEach(
  sidecar: Sidecar,
  messages: readonly Message[],
  handover: string | undefined,
  out: Output,
): Promise<void> {
  for (const message of messages) {
    if (out.json) await out.value(message)
    else await out.line(messageLines(message, Date.now()))
  }
  await taken(sidecar, handover, out)
}

function isBroken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EPIPE'
}
