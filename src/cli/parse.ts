/** Argument lists → a command with its arguments and flags. Knows the table, nothing of what commands do. */
import { MeshError } from '../errors.ts'
import { quote } from '../wire/names.ts'
import { isFlag, readWords } from './cac.ts'
import { type AnyFlags, type Command, misuse } from './command.ts'
import { nearest } from './input/nearest.ts'
import { aliases, commands } from './table.ts'

export interface Parsed {
  command: Command
  args: string[]
  flags: AnyFlags
  /** The words after `--`; null without any. */
  text: string[] | null
  /** `-` was given: the text comes from standard input. */
  stdin: boolean
  help: boolean
}

/** Finds the command that `argv` names, and the words that are left; null if it names none. */
export function findCommand(argv: readonly string[]): { command: Command; rest: string[] } | { group: string } | null {
  const [first, second] = wordIndexes(argv)
  if (first === undefined) return null
  const word = aliasOf(argv[first]!)
  const pair = second === undefined ? undefined : commands.find(({ name }) => name === `${word} ${argv[second]}`)
  if (pair) return { command: pair, rest: argv.filter((_, i) => i !== first && i !== second) }
  const single = commands.find(({ name }) => name === word)
  if (single) return { command: single, rest: argv.filter((_, i) => i !== first) }
  if (commands.some(({ name }) => name.startsWith(`${word} `))) return { group: word }
  throw unknownCommand(argv[first]!)
}

function aliasOf(word: string): string {
  return Object.hasOwn(aliases, word) ? aliases[word]! : word
}

/** Finds the first two words that are neither a flag nor the value of `--as`. */
function wordIndexes(argv: readonly string[]): number[] {
  const found: number[] = []
  for (let i = 0; i < argv.length && argv[i] !== '--' && found.length < 2; i++) {
    if (!isFlag(argv[i]!)) found.push(i)
    else if (argv[i] === '--as') i++
  }
  return found
}

function unknownCommand(word: string): MeshError {
  const members = commands.filter(({ name }) => name.endsWith(` ${word}`)).map(({ name }) => `mesh ${name}`)
  const near = nearest(word, [...new Set(commands.map(({ name }) => name.split(' ')[0]!))])
  const meant = members.length > 0 ? members.join(', ') : near && `mesh ${near} --help`
  return new MeshError('bad_request', `there is no command ${quote(word)}`, {
    hint: meant ? `did you mean: ${meant}` : 'mesh --help lists the commands',
  })
}

/** Parses what follows the command's name. Throws `bad_request` for what the command does not take. */
export function parseArgs(command: Command, rest: readonly string[]): Parsed {
  const end = rest.indexOf('--')
  const before = end < 0 ? [...rest] : rest.slice(0, end)
  const after = end < 0 ? null : rest.slice(end + 1)
  const stdin = command.text === true && (before.includes('-') || (after?.length === 1 && after[0] === '-'))
  if (after && !command.text && !command.command) throw misuse(command, 'it takes no text after --')
  if (before.includes('-') && after) throw misuse(command, 'the text comes after -- or from standard input, not both')
  const words = stdin ? before.filter((word) => word !== '-') : before
  const help = words.some((word) => word === '--help' || word === '-h')
  const { args, flags } = help ? { args: [], flags: {} } : readWords(command, words)
  return { command, args, flags, text: stdin ? null : after, stdin, help }
}
