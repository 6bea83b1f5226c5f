/** `mesh budget`: how often sessions answered each other without a person. */
import type { Context } from '../../context.ts'
import { ago, columns, oneLine } from '../../input/units.ts'

const TITLES = ['SESSION', 'PEER', 'ROUNDS', 'HELD', 'SINCE']

export async function run({ out, sidecar }: Context): Promise<undefined> {
  const pairs = await sidecar().call('budget', {})
  if (out.json) return out.value(pairs).then(() => undefined)
  if (pairs.length === 0) return out.line('no sessions answer each other without a person').then(() => undefined)
  const rows = pairs.map((pair) => {
    const since = `${ago(pair.since, Date.now())} ago`
    return [pair.name, pair.with, `${pair.rounds} of ${pair.limit}`, String(pair.held), since].map(oneLine)
  })
  await out.line(columns([TITLES, ...rows]).join('\n'))
}
