/** `mesh ask`: send, and print the reply. */

import { visible } from '../../core/render.ts'
import { formatRecipient, parseRecipient } from '../../wire/names.ts'
import type { Context } from '../context.ts'
import { taken } from '../messages.ts'
import { readContent, transmit, withoutHandover } from '../sending.ts'
import { checkThread } from '../values.ts'

export async function run(context: Context): Promise<undefined> {
  const { flags, out } = context
  const to = formatRecipient(parseRecipient(context.args[0]!))
  const content = { intent: 'request', ...readContent(context, await context.text()), wait: 'reply' as const }
  const thread = flags.thread !== undefined && { thread: checkThread(flags.thread) }
  const sidecar = context.sidecar()
  context.onInterrupt = 'interrupted; the question was sent, and a reply will be in: mesh inbox'
  const sent = await transmit(sidecar, 'send', { ...content, ...thread, to })
  context.onInterrupt = null
  if (out.json) await out.value(withoutHandover(sent))
  else await out.line(visible(sent.reply!.text))
  if (!out.json && !sent.reply!.verified) out.note(`the sender ${sent.reply!.from} is not verified`)
  await taken(sidecar, sent.handover, out)
}
