/** Topics and roles with those who are in them, as lines. */

import { columns, oneLine } from '../../input/units.ts'
import type { Output } from '../../output.ts'

interface Group {
  name: string
  members: string[]
}

/** Prints one topic or role. */
export async function printMembers(group: Group, out: Output): Promise<void> {
  if (out.json) await out.value(group)
  else await out.line(oneLine(`${group.name}: ${group.members.join(' ') || 'nobody'}`))
}

/** Prints a list of them, or `nothing`. */
export async function printGroups(groups: Group[], nothing: string, out: Output): Promise<void> {
  if (out.json) await out.value(groups)
  else if (groups.length === 0) await out.line(nothing)
  else
    await out.line(columns(groups.map(({ name, members }) => [name, members.join(' ') || '-'].map(oneLine))).join('\n'))
}
