/** `mesh handoff`. */
import { checkName, newOperation } from '../../../wire/names.ts'
import type { Context } from '../../command.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const given = await sidecar().call('handoff', { op: newOperation(), to: checkName(args[0]!) })
  if (out.json) {
    await out.value(given)
    return
  }
  const { to, state, keys, tasks, claims, messages, stays = 0 } = given
  const counts = [count(keys, 'key'), count(tasks, 'task'), count(claims, 'file claim'), count(messages, 'message')]
  const when =
    state === 'taken' ? `${to} has them` : `they are ${to}'s, which takes them as soon as its sidecar is there`
  await out.line(`handed over: ${counts.join(', ')}; ${when}`)
  if (stays > 0)
    await out.line(`${count(stays, 'unread message')} more did not fit and stay with you: mesh handoff ${to}`)
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
