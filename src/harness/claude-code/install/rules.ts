/** Permission rules with which the model runs mesh without a dialog. Offered, never added unasked. */

/**
 * Commands that read and talk. `Bash(mesh:*)` would also allow what runs programs, changes the set-up or ends sessions.
 * The client matches a rule against each part of a compound command, and asks for `$(…)`, redirections into files and
 * variables set before the command, whatever the rules say (seen on 2.1.329).
 */
const COMMANDS = [
  'send',
  'ask',
  'reply',
  'inbox',
  'wait',
  'trace',
  'ps',
  'who',
  'alive',
  'whoami',
  'topic',
  'role',
  'task',
  'done',
  'claim',
  'claims',
  'release',
]

export const permissionRules: readonly string[] = COMMANDS.map((command) => `Bash(mesh ${command}:*)`)
