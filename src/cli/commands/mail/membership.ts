/** `mesh topic` and `mesh role`: who reads a topic, who takes messages of a role. */
import { checkToken } from '../../../wire/names.ts'
import type { Context, Run } from '../../command.ts'
import type { Output } from '../../output.ts'
import { columns, oneLine } from '../../show/columns.ts'

interface Group {
  name: string
  members: string[]
}

export const topicJoin = changeTopic('topic_join')
export const topicLeave = changeTopic('topic_leave')
export const roleAdd = changeRole('role_add')
export const roleRemove = changeRole('role_rm')

export async function topicList({ out, sidecar }: Context): Promise<undefined> {
  await printGroups(await sidecar().call('topic_list', {}), 'no topics in this project', out)
}

export async function roleList({ out, sidecar }: Context): Promise<undefined> {
  await printGroups(await sidecar().call('role_list', {}), 'no roles in this project', out)
}

function changeTopic(op: 'topic_join' | 'topic_leave'): Run {
  return async ({ args, out, sidecar }) => {
    const topic = checkToken(args[0]!, 'topic')
    return printGroup(await sidecar().call(op, { topic }), out)
  }
}

function changeRole(op: 'role_add' | 'role_rm'): Run {
  return async ({ args, out, sidecar }) => {
    const role = checkToken(args[0]!, 'role')
    return printGroup(await sidecar().call(op, { role }), out)
  }
}

async function printGroup(group: Group, out: Output): Promise<undefined> {
  if (out.json) await out.value(group)
  else await out.line(oneLine(`${group.name}: ${group.members.join(' ') || 'no members'}`))
}

async function printGroups(groups: Group[], nothing: string, out: Output): Promise<void> {
  if (out.json) await out.value(groups)
  else if (groups.length === 0) await out.line(nothing)
  else
    await out.line(columns(groups.map(({ name, members }) => [name, members.join(' ') || '-'].map(oneLine))).join('\n'))
}
