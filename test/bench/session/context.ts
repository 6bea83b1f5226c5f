/** Tokens of context that mesh spends: characters by four, as DESIGN counts them. */

import { renderStart } from '../../../src/core/names/render-start.ts'
import { renderHandover, type Shown } from '../../../src/core/render.ts'
import { newId } from '../../../src/wire/names.ts'
import type { Row } from '../lab/row.ts'

const CHARS_PER_TOKEN = 4
const BUDGET = { start: 300, message: 60 }
const NONCE = 'f'.repeat(12)

export function measureContext(): Row {
  const start = tokens(renderStart({ name: 'fix-login', project: 'shop-1a2b3c4d', peers: peersOf(3), unread: 2 }))
  const crowded = tokens(
    renderStart({ name: 'x'.repeat(64), project: 'y'.repeat(80), peers: peersOf(1000), unread: 99 }),
  )
  const one = wrapper([shown('the schema landed')])
  const thread = wrapper([
    { ...shown('the schema landed'), thread: 'migration', replyTo: newId('m'), intent: 'request' },
  ])
  const ten = wrapper(Array.from({ length: 10 }, () => shown('the schema landed'))) / 10
  const silent = renderHandover([], NONCE, 0).text.length
  const most = Math.max(start, crowded)
  return {
    what: 'context cost: at the start / around one message / silent',
    measured: `${most} / ${one} / ${silent} tokens`,
    anchor: 'the client’s own wrapper 146 (CLAUDE_CODE.md)',
    ratio: one / 146,
    budget: `≤ ${BUDGET.start} / ≤ ${BUDGET.message} / 0`,
    ok: most <= BUDGET.start && Math.max(one, thread) <= BUDGET.message && silent === 0,
    details: [
      `start: three peers ${start}, a thousand peers and the longest names ${crowded}`,
      `around a message: plain ${one}, a threaded request that is a reply ${thread}, ten together ${ten.toFixed(0)} each`,
    ],
    figures: { start, crowded, one, thread, ten, silent },
  }
}

function peersOf(count: number) {
  return Array.from({ length: count }, (_, i) => ({ name: `worker-${i}`, status: 'idle' }))
}

function shown(text: string): Shown {
  const sentAt = new Date(0).toISOString()
  return { id: newId('m'), from: 'api-worker', to: 'fix-login', text, sentAt, verified: true, repeat: false }
}

/** What stands around the bodies. */
function wrapper(messages: readonly Shown[]): number {
  const bodies = messages.reduce((sum, { text }) => sum + text.length, 0)
  return tokensOf(renderHandover(messages, NONCE, 0).text.length - bodies)
}

function tokens(text: string): number {
  return tokensOf(text.length)
}

function tokensOf(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN)
}
