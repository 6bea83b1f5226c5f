/** The overview of all commands, and of those that share a first word. */

import type { CommandInfo } from './flags.ts'
import { columns } from './input/units.ts'
import { usageOf } from './parse.ts'
import { commands, sections } from './table.ts'

/** Prints what `mesh` alone says; with `full` also the rarer commands. */
export function printOverview(full: boolean): void {
  const blocks = sections.flatMap(({ title, commands }) => {
    return ['', title, ...list(commands.filter(({ rare }) => full || !rare))]
  })
  const lines = [
    'mesh connects coding-agent sessions: who is there, durable messages, wakes.',
    ...blocks,
    '',
    'TO is a NAME, topic:T, role:R, operator or @all. Every command takes --json, --as NAME and --help.',
    full ? 'Start with: mesh up, then mesh install' : 'More: mesh --help, mesh COMMAND --help',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Prints the commands that begin with `group`. */
export function printGroup(group: string): void {
  process.stdout.write(`${list(inGroup(group)).join('\n')}\n`)
}

/** The second words of a group's commands. */
export function groupMembers(group: string): string[] {
  return inGroup(group).map(({ name }) => name.split(' ')[1]!)
}

function inGroup(group: string): CommandInfo[] {
  return commands.filter(({ name }) => name.startsWith(`${group} `))
}

function list(shown: readonly CommandInfo[]): string[] {
  return columns(shown.map((command) => [`  mesh ${usageOf(command)}`, command.about]))
}
