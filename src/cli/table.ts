/** Every command, by subject: how it is called, what it takes, and where its code is. Data; the code loads when it runs. */
import { fileCommands } from './file-table.ts'
import type { CommandInfo } from './flags.ts'
import { messageCommands } from './message-table.ts'
import { runCommands } from './run-table.ts'
import { sessionCommands } from './session-table.ts'
import { setupCommands } from './setup-table.ts'
import { stateCommands } from './state-table.ts'
import { taskCommands } from './task-table.ts'

export const sections: readonly { title: string; commands: readonly CommandInfo[] }[] = [
  { title: 'Messages', commands: messageCommands },
  { title: 'Sessions', commands: sessionCommands },
  { title: 'Runs: work that is supervised, its end told', commands: runCommands },
  { title: 'The task board', commands: taskCommands },
  { title: 'Files: who works on what', commands: fileCommands },
  { title: 'State: what survives compaction', commands: stateCommands },
  { title: 'Set-up', commands: setupCommands },
]

export const commands: readonly CommandInfo[] = sections.flatMap((section) => section.commands)

/** Other words for a command. */
export const aliases: Readonly<Record<string, string>> = { who: 'ps' }
