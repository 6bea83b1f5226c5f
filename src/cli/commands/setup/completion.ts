/** `mesh completion`: the script that makes a shell complete mesh's commands, flags and names. */

import type { Context } from '../../command.ts'
import bash from '../../completion/mesh.bash'
import fish from '../../completion/mesh.fish'
import zsh from '../../completion/mesh.zsh'
import { parseChoice } from '../../input/units.ts'

const scripts = { bash, zsh, fish }
const shells = ['bash', 'zsh', 'fish'] as const

export async function run({ args, out }: Context): Promise<undefined> {
  const script = scripts[parseChoice(args[0]!, 'the shell', shells)]
  if (out.json) await out.value({ script })
  else await out.line(script.trimEnd())
}
