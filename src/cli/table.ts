/** Every command, by subject: how it is called, what it takes, and where its code is. Data; the code loads when it runs. */
import { type Command, define } from './command.ts'
import { fileCommands } from './commands/files/table.ts'
import { messageCommands } from './commands/mail/table.ts'
import { runCommands } from './commands/runs/table.ts'
import { sessionCommands } from './commands/sessions/table.ts'
import { setupCommands } from './commands/setup/table.ts'
import { stateCommands } from './commands/state/table.ts'
import { taskCommands } from './commands/tasks/table.ts'
import { viewFlags } from './show/view.ts'

export interface Section {
  /** The name that `mesh help` takes. */
  readonly name: string
  readonly title: string
  readonly commands: readonly Command[]
}

export const sections: readonly Section[] = [
  { name: 'messages', title: 'send, read and follow messages', commands: messageCommands },
  { name: 'sessions', title: 'who is there, and in what state', commands: sessionCommands },
  { name: 'runs', title: 'supervised commands and sessions, whose end is reported', commands: runCommands },
  { name: 'tasks', title: 'the board that all sessions share', commands: taskCommands },
  { name: 'files', title: 'who works on what', commands: fileCommands },
  { name: 'state', title: 'what survives a compaction', commands: stateCommands },
  { name: 'setup', title: 'engine, clients and this machine', commands: setupCommands },
]

export const commands: readonly Command[] = sections.flatMap((section) => section.commands)

/** Other words for a command. */
export const aliases: Readonly<Record<string, string>> = { who: 'ps' }

/** Runs when no command is given. */
export const overview = define({
  name: '',
  about: 'show the state of this project',
  flags: viewFlags,
  examples: ['mesh'],
  load: async () => (await import('./commands/overview.ts')).run,
})
