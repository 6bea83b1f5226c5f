/** `mesh state`: reads and changes one document, the session's own or a shared one. */
import { newOperation } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { parseCount } from '../../input/units.ts'
import { columns, oneLine } from '../../show/columns.ts'
import { timeIn, type ViewFlags, viewOf } from '../../show/view.ts'
import { checkKey, documentOf, entryLines, printable, readKept, valueAsJson } from './values.ts'

const MOST_REV = 999_999_999

type Shared = Values<'shared'>

export async function set(context: Context<Shared & Values<'ifRev'>>): Promise<undefined> {
  const { args, flags, out, sidecar } = context
  const key = checkKey(args[0]!)
  const value = await readKept(context, args[1])
  const request = { op: newOperation(), do: 'set', key, value, ...documentOf(flags), ...readIfRev(flags) } as const
  const changed = await sidecar().call('state_change', request)
  if (out.json) await out.value(changed)
  else await out.line(`${key} set, revision ${changed.rev}`)
}

export async function remove({ args, flags, out, sidecar }: Context<Shared & Values<'ifRev'>>): Promise<undefined> {
  const key = checkKey(args[0]!)
  const request = { op: newOperation(), do: 'rm', key, ...documentOf(flags), ...readIfRev(flags) } as const
  const changed = await sidecar().call('state_change', request)
  if (out.json) await out.value(changed)
  else await out.line(`${key} removed, revision ${changed.rev}`)
}

export async function note(context: Context<Shared>): Promise<undefined> {
  const { args, flags, out, sidecar } = context
  const text = await readKept(context, args[0])
  const changed = await sidecar().call('state_change', { op: newOperation(), do: 'note', text, ...documentOf(flags) })
  if (out.json) await out.value(changed)
  else await out.line(`noted, revision ${changed.rev}`)
}

export async function get({ args, flags, out, sidecar }: Context<Shared & Values<'rev'>>): Promise<undefined> {
  const rev = flags.rev === undefined ? {} : { rev: parseCount(flags.rev, '--rev', 0, MOST_REV) }
  const { entries } = await sidecar().call('state_read', { key: checkKey(args[0]!), ...documentOf(flags), ...rev })
  const { value } = entries[0]!
  if (out.json) await out.value(valueAsJson(value))
  else await out.line(printable(value))
}

export async function list({ flags, out, sidecar }: Context<Shared & ViewFlags>): Promise<undefined> {
  const { entries } = await sidecar().call('state_read', documentOf(flags))
  if (!out.json) return void (await out.line(entryLines(entries, viewOf(flags, Date.now())).join('\n')))
  await out.value(entries.map(({ key, rev, at, by, value }) => ({ key, rev, at, by, bytes: Buffer.byteLength(value) })))
}

export async function history({ flags, out, sidecar }: Context<Shared & ViewFlags>): Promise<undefined> {
  const history = await sidecar().call('state_history', documentOf(flags))
  if (out.json) return void (await out.value(history))
  if (history.length === 0) return void (await out.line('nothing is kept'))
  const view = viewOf(flags, Date.now())
  const rows = history.map(({ rev, at, by, what, key }) => {
    return [String(rev), timeIn(view, at), by, what, key ?? ''].map(oneLine)
  })
  await out.line(columns([['REV', 'AT', 'BY', 'WHAT', 'KEY'], ...rows], view.width).join('\n'))
}

export async function exportAll({ flags, out, sidecar }: Context<Shared>): Promise<undefined> {
  const document = await sidecar().call('state_read', documentOf(flags))
  if (out.json) await out.value(document)
  else await out.line(JSON.stringify(document, null, 2))
}

function readIfRev({ ifRev }: Values<'ifRev'>): { ifRev?: number } {
  return ifRev === undefined ? {} : { ifRev: parseCount(ifRev, '--if-rev', 0, MOST_REV) }
}
