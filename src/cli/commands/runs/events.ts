/** `mesh events`: what happened to runs; with --follow as it happens. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Request } from '../../../api/ops.schema.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { checkName, quote } from '../../../wire/names.ts'
import type { Context, Switches, Values } from '../../command.ts'
import { parseDuration } from '../../input/units.ts'
import { checkRun } from '../../input/values.ts'
import type { Output } from '../../output.ts'
import { type ViewFlags, viewOf } from '../../show/view.ts'
import { eventLines, isEnd } from './lines.ts'

const POLL_MS = 30_000
const RETRY_MS = 500

type Flags = Values<'run' | 'owner' | 'since'> & Switches<'follow'> & ViewFlags

export async function run({ flags, out, sidecar: find }: Context<Flags>): Promise<undefined> {
  const scope = {
    ...(flags.run !== undefined && { run: checkRun(flags.run) }),
    ...(flags.owner !== undefined && { owner: checkName(flags.owner) }),
    ...(flags.since !== undefined && { since: timeOf(flags.since) }),
  }
  const sidecar = find()
  const next = await print(sidecar, scope, flags, out)
  if (flags.follow && next !== null) await follow(sidecar, { ...scope, from: next }, flags, out)
}

/** Returns where to go on; null when nothing can follow, since the run that was asked about is over. */
async function print(
  sidecar: Sidecar,
  request: Request<'run_events'>,
  flags: ViewFlags,
  out: Output,
): Promise<number | null> {
  const { events, next } = await sidecar.call('run_events', request, { timeoutMs: 2 * POLL_MS })
  const view = viewOf(flags, Date.now())
  for (const event of events) {
    if (out.json) await out.value(event)
    else await out.line(eventLines(event, view))
  }
  return request.run !== undefined && events.some(isEnd) ? null : next
}

/** A follower outlives the engine and its sidecar. */
async function follow(sidecar: Sidecar, request: Request<'run_events'>, flags: ViewFlags, out: Output): Promise<void> {
  for (let from: number | null | undefined = request.from; from !== null; ) {
    try {
      from = await print(sidecar, { ...request, ...(from && { from }), waitMs: POLL_MS }, flags, out)
    } catch (error) {
      if (!['sidecar_down', 'mesh_down', 'timeout'].includes(MeshError.from(error).code)) throw error
      await sleep(RETRY_MS)
    }
  }
}

function timeOf(text: string): string {
  if (/^\d{1,12}(\.\d{1,3})?(ms|s|m|h)$/.test(text)) {
    return new Date(Date.now() - parseDuration(text, '--since')).toISOString()
  }
  if (!Number.isNaN(Date.parse(text))) return new Date(text).toISOString()
  throw new MeshError('bad_request', `--since ${quote(text)} is neither a duration nor a time`, {
    hint: 'for example --since 10m, --since 2026-01-31T09:00:00Z',
  })
}
