/** `mesh reply`: answer a message by its id. */
import { type Context, needs, type Values } from '../../command.ts'
import { checkId } from '../../input/values.ts'
import { readContent, sentLine, transmit, withoutHandover } from './sending.ts'

export async function run(context: Context<Values<'intent' | 'wait' | 'timeout'>>): Promise<undefined> {
  needs(context, 'timeout', 'wait')
  const { out } = context
  const replyTo = checkId(context.args[0]!)
  const content = readContent(context.flags, await context.text())
  const sidecar = context.sidecar()
  const sent = await transmit(sidecar, 'reply', { ...content, replyTo })
  if (out.json) await out.value(withoutHandover(sent))
  else await out.line(sentLine(sent, true))
  if (!sent.reply) return
  const { messageLines, taken } = await import('./messages.ts')
  if (!out.json) await out.line(messageLines(sent.reply, Date.now()))
  await taken(sidecar, sent.handover, out)
}
