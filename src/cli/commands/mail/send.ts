/** `mesh send`: one text to one or several recipients. All are checked before anything is sent. */
import type { Response } from '../../../api/ops.schema.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { limits } from '../../../wire/limits.ts'
import { formatRecipient, parseRecipient } from '../../../wire/names.ts'
import { type Context, needs, type Values } from '../../command.ts'
import { checkId, checkThread, readRecipient } from '../../input/values.ts'
import { fail, type Output } from '../../output.ts'
import { type Content, readContent, sentLine, transmit, withoutHandover } from './sending.ts'

type Fields = Content & { thread?: string; replyTo?: string }

type Flags = Values<'thread' | 'replyTo' | 'intent' | 'wait' | 'timeout'>

export async function run(context: Context<Flags>): Promise<number> {
  needs(context, 'timeout', 'wait')
  const { flags, out } = context
  const recipients = readRecipients(context.args)
  const fields: Fields = {
    ...readContent(flags, await context.text()),
    ...(flags.thread !== undefined && { thread: checkThread(flags.thread) }),
    ...(flags.replyTo !== undefined && { replyTo: checkId(flags.replyTo) }),
  }
  const sidecar = context.sidecar()
  const [only] = recipients
  if (recipients.length === 1) {
    await show(sidecar, await transmit(sidecar, 'send', { ...fields, to: only! }), out, false)
    return 0
  }
  return sendAll(sidecar, recipients, fields, out)
}

function readRecipients(args: readonly string[]): string[] {
  if (args.length > limits.recipients) {
    throw new MeshError('bad_request', `${args.length} recipients are too many, the limit is ${limits.recipients}`)
  }
  // Of several all are checked here, before anything is sent.
  if (args.length === 1) return [readRecipient(args[0]!)]
  return [...new Set(args.map((arg) => formatRecipient(parseRecipient(arg))))]
}

/** Sends to each recipient, also after a failure. Returns the exit code of the first failure. */
async function sendAll(sidecar: Sidecar, recipients: string[], fields: Fields, out: Output): Promise<number> {
  let exit = 0
  const sendOne = async (to: string) => {
    try {
      await show(sidecar, await transmit(sidecar, 'send', { ...fields, to }), out, true)
    } catch (error) {
      const { code, message, hint } = MeshError.from(error)
      exit ||= fail(new MeshError(code, `${to}: ${message}`, { cause: error, hint }), out.json)
    }
  }
  if (fields.wait === undefined || fields.wait === 'stored') for (const to of recipients) await sendOne(to)
  else await Promise.all(recipients.map(sendOne))
  return exit
}

async function show(sidecar: Sidecar, sent: Response<'send'>, out: Output, several: boolean): Promise<void> {
  if (out.json) await out.value(withoutHandover(sent))
  else await out.line(sentLine(sent, several))
  if (!sent.reply) return
  const { messageLines, taken } = await import('./messages.ts')
  if (!out.json) await out.line(messageLines(sent.reply, Date.now()))
  await taken(sidecar, sent.handover, out)
}
