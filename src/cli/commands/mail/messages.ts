/** Messages as people read them at a terminal. What peers wrote is indented, so that it cannot pass for our lines. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Message } from '../../../api/ops.schema.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { visible } from '../../../core/render.ts'
import { MeshError } from '../../../errors.ts'
import type { Output } from '../../output.ts'
import { indent, oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'

const TAKEN_MS = 2000
const RETRY_MS = 100

/** A header line and the indented text. */
export function messageLines(message: Message, now: number): string {
  return `${header(message, now)}\n${indent(visible(message.text))}`
}

function header(message: Message, now: number): string {
  const marks = [
    `${message.id} from ${message.from}`,
    message.earlier && earlierMark(message.earlier),
    ['@', ':'].some((mark) => message.to.includes(mark)) && `to ${message.to}`,
    `${ago(message.sentAt, now)} ago`,
    message.thread && `thread ${message.thread}`,
    message.replyTo && `reply to ${message.replyTo}`,
    message.intent,
    !message.verified && 'sender not verified',
    message.repeat && 'may have been shown before',
  ]
  return oneLine(marks.filter(Boolean).join(', '))
}

/** It was said to the conversation that had the name before. */
function earlierMark({ endedAt, question }: NonNullable<Message['earlier']>): string {
  const asked = question === null ? '' : `, which asked "${question}"`
  return `for the conversation before this one${endedAt === null ? '' : ` (ended ${endedAt})`}${asked}`
}

/**
 * Confirms to the sidecar that what it handed over has been shown. Without success the messages stay unread and come again,
 * marked as a possible repeat: nothing is lost, so this never fails the command.
 */
export async function taken(sidecar: Sidecar, handover: string | undefined, out: Output): Promise<void> {
  if (handover === undefined) return
  const deadline = performance.now() + TAKEN_MS
  for (;;) {
    try {
      await sidecar.call('taken', { handover }, { timeoutMs: TAKEN_MS })
      return
    } catch (error) {
      const { code } = MeshError.from(error)
      if (code === 'not_found' || performance.now() > deadline) {
        out.note(`these messages are not marked as read and will come again (${MeshError.from(error).message})`)
        return
      }
      await sleep(RETRY_MS)
    }
  }
}
