/** `mesh claim`, `mesh claims` and `mesh release`: files that a session asks the others to leave alone. */
import type { Response } from '../../../api/ops.schema.ts'
import { MeshError } from '../../../errors.ts'
import { limits, times } from '../../../wire/limits.ts'
import { type Context, misuse, type Switches, type Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import type { Output } from '../../output.ts'
import { columns, oneLine } from '../../show/columns.ts'
import { timeIn, type View, type ViewFlags, viewOf } from '../../show/view.ts'

const SECOND = 1000
const HOUR = 3_600_000

export async function claim(context: Context<Values<'for' | 'why'> & ViewFlags>): Promise<undefined> {
  const { args, cwd, flags, out, sidecar } = context
  const forMs = flags.for === undefined ? {} : { forMs: readTime(flags.for) }
  const why = flags.why === undefined ? {} : { why: readWhy(flags.why) }
  if (args.length > limits.claimPaths)
    throw new MeshError('bad_request', `${args.length} paths, the limit is ${limits.claimPaths}`, {
      hint: 'quote wildcards, so that the shell leaves them to mesh, or claim folders',
    })
  await print(await sidecar().call('claim', { paths: [...args], cwd, ...forMs, ...why }), flags, out)
}

export async function list({ args, cwd, flags, out, sidecar }: Context<ViewFlags>): Promise<undefined> {
  const [path] = args
  await print(await sidecar().call('claims', { cwd, ...(path === undefined ? {} : { path }) }), flags, out)
}

export async function release({ args, command, cwd, flags, out, sidecar }: Context<Switches<'all'>>) {
  if (args.length === 0 ? !flags.all : flags.all) throw misuse(command, 'name paths, or say --all')
  const which = flags.all ? { all: true } : { paths: [...args] }
  const released = await sidecar().call('release', { cwd, ...which })
  if (out.json) await out.value(released)
  else await out.line(released.map(({ path }) => `${oneLine(path)} released`).join('\n') || 'you have no claims here')
  return undefined
}

async function print(claims: Response<'claims'>, flags: ViewFlags, out: Output): Promise<void> {
  if (out.json) await out.value(claims)
  else await out.line(claimLines(claims, viewOf(flags, Date.now())).join('\n'))
}

function claimLines(claims: Response<'claims'>, view: View): string[] {
  if (claims.length === 0) return ['no claims']
  const rows = claims.map(({ path, holder, until, because, why, mine }) => {
    const end = timeIn(view, until)
    const ends = because === null ? end : `${end} (${because})`
    return [path, mine ? `${holder} (you)` : holder, ends, why ?? ''].map(oneLine)
  })
  return columns([['PATH', 'HOLDER', 'UNTIL', 'WHY'], ...rows], view.width)
}

function readTime(text: string): number {
  const ms = parseDuration(text, '--for')
  if (ms >= SECOND && ms <= times.fileClaimMost) return ms
  throw new MeshError('bad_request', `--for ${text}: from 1s to ${times.fileClaimMost / HOUR}h`, {
    hint: 'claim again before it ends',
  })
}

function readWhy(text: string): string {
  if (text !== '' && text.length <= limits.taskReason) return text
  throw new MeshError('bad_request', `--why takes 1 to ${limits.taskReason} characters`, {
    hint: 'put the rest into a message: mesh send',
  })
}
