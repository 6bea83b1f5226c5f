/** Every command, by subject: how it is called, what it takes, and where its code is. Data; the code loads when it runs. */
import type { Command } from './command.ts'
import { fileCommands } from './commands/files/table.ts'
import { messageCommands } from './commands/mail/table.ts'
import { runCommands } from './commands/runs/table.ts'
import { sessionCommands } from './commands/sessions/table.ts'
import { setupCommands } from './commands/setup/table.ts'
import { stateCommands } from './commands/state/table.ts'
import { taskCommands } from './commands/tasks/table.ts'

export const sections: readonly { title: string; commands: readonly Command[] }[] = [
  { title: 'Messages', commands: messageCommands },
  { title: 'Sessions', commands: sessionCommands },
  { title: 'Runs: work that is supervised, its end told', commands: runCommands },
  { title: 'The task board', commands: taskCommands },
  { title: 'Files: who works on what', commands: fileCommands },
  { title: 'State: what survives compaction', commands: stateCommands },
  { title: 'Set-up', commands: setupCommands },
]

export const commands: readonly Command[] = sections.flatMap((section) => section.commands)

/** Other words for a command. */
export const aliases: Readonly<Record<string, string>> = { who: 'ps' }
