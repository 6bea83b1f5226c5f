/** `mesh ask`: send, and print the reply. */

import { visible } from '../../../core/render.ts'
import { newId } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { checkThread, readRecipient } from '../../input/values.ts'
import { taken } from './messages.ts'
import { readContent, transmit, withoutHandover } from './sending.ts'

export async function run(context: Context<Values<'thread' | 'intent' | 'timeout'>>): Promise<undefined> {
  const { flags, out } = context
  const to = readRecipient(context.args[0]!)
  const read = readContent(context.flags, await context.text())
  const content = { intent: 'request', ...read, wait: 'reply' as const, id: newId('m') }
  const thread = flags.thread !== undefined && { thread: checkThread(flags.thread) }
  const sidecar = context.sidecar()
  context.onInterrupt = `interrupted; the question may have been sent: mesh trace ${content.id}; a reply comes to: mesh inbox`
  // First on its way, then awaited: what stands in the way of an answer is said at once.
  const { wait: _, timeoutMs: __, ...question } = content
  const { note } = await transmit(sidecar, 'send', { ...question, ...thread, to })
  if (note) out.note(`${note}; Ctrl-C to stop waiting`)
  const sent = await transmit(sidecar, 'send', { ...content, ...thread, to })
  context.onInterrupt = null
  if (out.json) await out.value(withoutHandover(sent))
  else await out.line(visible(sent.reply!.text))
  if (!out.json && !sent.reply!.verified) out.note(`the sender ${sent.reply!.from} is not verified`)
  await taken(sidecar, sent.handover, out)
}
