/** `mesh claim`. */
import { MeshError } from '../../../errors.ts'
import { limits, times } from '../../../wire/limits.ts'
import type { Context } from '../../context.ts'
import { parseDuration } from '../../input/units.ts'
import { claimLines } from './lines.ts'

const SECOND = 1000
const HOUR = 3_600_000

export async function run({ args, cwd, flags, out, sidecar }: Context): Promise<undefined> {
  const forMs = flags.forTime === undefined ? {} : { forMs: readTime(flags.forTime) }
  const why = flags.why === undefined ? {} : { why: readWhy(flags.why) }
  if (args.length > limits.claimPaths)
    throw new MeshError('bad_request', `${args.length} paths, the limit is ${limits.claimPaths}`, {
      hint: 'quote wildcards, so that the shell leaves them to mesh, or claim folders',
    })
  const claims = await sidecar().call('claim', { paths: [...args], cwd, ...forMs, ...why })
  if (out.json) await out.value(claims)
  else await out.line(claimLines(claims).join('\n'))
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
    hint: 'say the rest by mesh send',
  })
}
