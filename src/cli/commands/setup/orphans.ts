/** `mesh orphans`: processes of mesh that serve no session any more. */
import { endOrphan, findOrphans } from '../../../doctor/look/orphan.ts'
import type { Context, Switches } from '../../command.ts'
import { oneLine } from '../../show/columns.ts'

/** Some of them do not end. */
const LEFT = 4

export async function run({ home, flags, out }: Context<Switches<'end'>>): Promise<number> {
  const orphans = await findOrphans(home)
  const results = await Promise.all(
    orphans.map(async (orphan) => ({ ...orphan, ...(flags.end ? { ended: await endOrphan(home, orphan) } : {}) })),
  )
  if (out.json) {
    await out.value(
      results.map(({ pid, kind, start, home, evidence, command, ...more }) => ({
        pid,
        kind,
        start,
        home,
        evidence,
        command,
        ...('ended' in more ? { ended: more.ended } : {}),
      })),
    )
  } else await print(out.line, results)
  return results.some(({ ended }) => ended === false) ? LEFT : 0
}

interface Result {
  pid: number
  kind: string
  evidence: string
  home: string
  command: string
  ended?: boolean
}

async function print(line: (text: string) => Promise<void>, results: readonly Result[]): Promise<void> {
  if (results.length === 0) return line('no process of mesh is without a session')
  for (const { pid, kind, evidence, home, command, ended } of results) {
    const state = ended === undefined ? '' : ended ? ' ended:' : ' does not end:'
    await line(oneLine(`${pid}${state} ${kind} of ${home}: ${evidence}`))
    await line(oneLine(`        ${command}`))
  }
  if (results[0]!.ended === undefined) await line('end them with: mesh orphans --end')
}
