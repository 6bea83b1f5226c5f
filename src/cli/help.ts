/** Help: of one command, of commands that share a first word or a subject, of all. Wrapped to the terminal. */
import { type Command, usageOf } from './command.ts'
import { described, textWidth } from './show/terms.ts'
import { wrap } from './show/width.ts'
import { commands, type Section, sections } from './table.ts'

/** Prints what a command takes. */
export function printHelp(command: Command): void {
  print([
    ...wrap(`mesh ${command.name}: ${command.about}`, textWidth()),
    '',
    'Usage:',
    `  $ mesh ${usageOf(command)}`,
    '',
    'Options:',
    ...described(Object.values(command.flags)),
    '',
    'Examples:',
    ...command.examples.map((example) => `  $ ${example}`),
  ])
}

/** Prints every command by subject. */
export function printAll(): void {
  print([
    ...wrap('mesh connects coding-agent sessions: who is there, durable messages, wakes.', textWidth()),
    ...sections.flatMap((section) => ['', ...sectionLines(section)]),
    '',
    ...wrap(
      'TO is a NAME, topic:T, role:R, operator or @all; ID is a message (m_…), run (r_…) or task (t_…).',
      textWidth(),
    ),
    ...wrap('Every command takes --json, --as NAME and --help.', textWidth()),
    ...wrap(
      `mesh help COMMAND explains one; mesh help ${sections.map(({ name }) => name).join('|')} lists a group.`,
      textWidth(),
    ),
    ...wrap('Start with: mesh up, then mesh install', textWidth()),
  ])
}

/** Prints the commands of a subject, `tasks`; false if there is no such subject. */
export function printSection(name: string): boolean {
  const section = sections.find((one) => one.name === name)
  if (!section) return false
  print(sectionLines(section))
  return true
}

/** Prints the commands that begin with `group`. */
export function printGroup(group: string): void {
  print(list(inGroup(group)))
}

/** The second words of a group's commands. */
export function groupMembers(group: string): string[] {
  return inGroup(group).map(({ name }) => name.split(' ')[1]!)
}

function sectionLines({ name, title, commands }: Section): string[] {
  return [...wrap(`${name[0]!.toUpperCase()}${name.slice(1)}: ${title}`, textWidth()), ...list(commands)]
}

function inGroup(group: string): Command[] {
  return commands.filter(({ name }) => name.startsWith(`${group} `))
}

function list(shown: readonly Command[]): string[] {
  return described(shown.map((command) => [`mesh ${usageOf(command)}`, summaryOf(command)]))
}

/** Returns the first clause of `about`: the command's own help has the rest. */
function summaryOf({ about }: Command): string {
  return about.split(/: |; | \(|\. /)[0]!
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
