/** Help: of one command, of commands that share a first word, of all. */
import { type Command, usageOf } from './command.ts'
import { columns } from './input/units.ts'
import { commands, sections } from './table.ts'

/** Prints what a command takes. */
export function printHelp(command: Command): void {
  const flags = Object.values(command.flags).map(([notation, about]) => [`  ${notation}`, about])
  const lines = [
    `mesh ${command.name}: ${command.about}`,
    '',
    'Usage:',
    `  $ mesh ${usageOf(command)}`,
    '',
    'Options:',
    ...columns(flags),
    '',
    'Examples:',
    ...command.examples.map((example) => `  $ ${example}`),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Prints every command by subject. */
export function printOverview(): void {
  const lines = [
    'mesh connects coding-agent sessions: who is there, durable messages, wakes.',
    ...sections.flatMap(({ title, commands }) => ['', title, ...list(commands)]),
    '',
    'TO is a NAME, topic:T, role:R, operator or @all. Every command takes --json, --as NAME and --help.',
    'Start with: mesh up, then mesh install',
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

function inGroup(group: string): Command[] {
  return commands.filter(({ name }) => name.startsWith(`${group} `))
}

function list(shown: readonly Command[]): string[] {
  return columns(shown.map((command) => [`  mesh ${usageOf(command)}`, command.about]))
}
