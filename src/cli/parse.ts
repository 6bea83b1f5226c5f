/** Argument lists → a command with its arguments and flags. Knows the table, nothing of what commands do. */
import { type CAC, cac } from 'cac'
import { MeshError } from '../errors.ts'
import { quote } from '../wire/names.ts'
import { type CommandInfo, commonFlags, type FlagName, type Flags, flagTable } from './flags.ts'
import { aliases, commands } from './table.ts'

export interface Parsed {
  command: CommandInfo
  args: string[]
  flags: Flags
  /** The words after `--`; null without any. */
  text: string[] | null
  /** `-` was given: the text comes from standard input. */
  stdin: boolean
  help: boolean
}

/** Which command `argv` names, and the words that are left; null if it names none. */
export function findCommand(
  argv: readonly string[],
): { command: CommandInfo; rest: string[] } | { group: string } | null {
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

/** Where the first two words are that are no flags and no value of one. */
function wordIndexes(argv: readonly string[]): number[] {
  const found: number[] = []
  for (let i = 0; i < argv.length && argv[i] !== '--' && found.length < 2; i++) {
    if (!isFlag(argv[i]!)) found.push(i)
    else if (argv[i] === '--as') i++
  }
  return found
}

function unknownCommand(word: string): MeshError {
  const near = nearest(word, [...new Set(commands.map(({ name }) => name.split(' ')[0]!))])
  return new MeshError('bad_request', `there is no command ${quote(word)}`, {
    hint: near ? `did you mean: mesh ${near} --help` : 'mesh --help lists the commands',
  })
}

/** Of words equally near the one of the same length. */
function nearest(word: string, names: readonly string[]): string | undefined {
  const far = (name: string) => distance(word, name) + Math.abs(word.length - name.length) / 100
  return names.filter((name) => distance(word, name) <= 2).sort((a, b) => far(a) - far(b))[0]
}

/** Edits from one word to another. */
function distance(a: string, b: string): number {
  if (a.length > 20) return a.length
  let row = [...Array(b.length + 1).keys()]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

/** Parses what follows the command's name. Throws `bad_request` for what the command does not take. */
export function parseArgs(command: CommandInfo, rest: readonly string[]): Parsed {
  const end = rest.indexOf('--')
  const before = end < 0 ? [...rest] : rest.slice(0, end)
  const after = end < 0 ? null : rest.slice(end + 1)
  const stdin = command.text === true && (before.includes('-') || (after?.length === 1 && after[0] === '-'))
  if (after && !command.text && !command.command) throw misuse(command, 'it takes no text after --')
  if (before.includes('-') && after) throw misuse(command, 'the text comes after -- or from standard input, not both')
  const words = stdin ? before.filter((word) => word !== '-') : before
  const help = words.some((word) => word === '--help' || word === '-h')
  const { args, flags } = help ? { args: [], flags: {} } : runCac(command, words)
  return { command, args, flags, text: stdin ? null : after, stdin, help }
}

/** Prints a command's help. */
export function printHelp(command: CommandInfo): void {
  const { cli } = describe(command)
  cli.parse(['', '', '--help'])
}

function runCac(command: CommandInfo, words: readonly string[]): { args: string[]; flags: Flags } {
  checkFlagNames(command, words)
  const { cli, taken } = describe(command)
  try {
    cli.parse(['', '', ...repeated(command, words).map(shield)])
  } catch (error) {
    throw misuse(command, inWords(command, unshield((error as Error).message)))
  }
  return { args: taken().args.map(unshield), flags: readFlags(command, taken().options) }
}

/** What cac found wrong, as a person would say it. */
function inWords(command: CommandInfo, message: string): string {
  const [, name] = /`(.*?)`/s.exec(message) ?? []
  if (message.startsWith('missing required args')) return `it needs ${usageOf(command).slice(command.name.length + 1)}`
  if (message.startsWith('option ')) return `${name} needs a value`
  if (!message.startsWith('Unused args')) return message
  const after = command.command ? 'a command comes' : command.text ? 'a text comes' : null
  return `it takes no ${quote(name ?? '')}${after ? `: ${after} after --` : ''}`
}

/** `--after A B` is `--after A --after B`, for ids. */
function repeated(command: CommandInfo, words: readonly string[]): string[] {
  const takers = new Set(
    flagsOf(command)
      .filter((name) => flagTable[name][0].endsWith('<ids…>'))
      .flatMap(spellings),
  )
  const given: string[] = []
  for (const word of words) {
    const flag = given.at(-2)
    const isNext = flag !== undefined && takers.has(flag) && /^[mrt]_[0-9a-f]+$/.test(word)
    given.push(...(isNext ? [flag, word] : [word]))
  }
  return given
}

/**
 * cac reads `007` as 7, an empty value as 0, and takes the word after a boolean flag for its value when it is `true`.
 * A NUL, which no argument can hold, before every word that is no flag keeps it the text that it is.
 */
function shield(word: string): string {
  if (!isFlag(word)) return `\0${word}`
  const equals = word.indexOf('=')
  return equals < 0 ? word : `${word.slice(0, equals)}=\0${word.slice(equals + 1)}`
}

function unshield(word: string): string {
  return word.replaceAll('\0', '')
}

function isFlag(word: string): boolean {
  return word.length > 1 && word.startsWith('-')
}

function describe(command: CommandInfo) {
  const cli: CAC = cac('mesh')
  let taken: { args: readonly string[]; options: Record<string, unknown> } = { args: [], options: {} }
  const described = cli.command(command.args ?? '', command.about).usage(usageOf(command))
  for (const name of flagsOf(command)) described.option(flagTable[name][0], flagTable[name][1])
  for (const example of command.examples) described.example(`  $ ${example}`)
  described.action(() => {
    taken = { args: cli.args, options: cli.options }
  })
  cli.help((sections) => [
    { body: `mesh ${command.name}: ${command.about}` },
    ...sections.filter(({ title }) => title && ['Usage', 'Options', 'Examples'].includes(title)),
  ])
  return { cli, taken: () => taken }
}

/** How a command is called, for its help. */
export function usageOf(command: CommandInfo): string {
  const text = command.text ? ' -- <text>' : command.command ? ' -- <command…>' : ''
  const args = command.args ? ` ${command.args.replace(/([<[])\.\.\.(\w+[>\]])/, '$1$2…')}` : ''
  return `${command.name}${args}${text}`
}

function flagsOf(command: CommandInfo): FlagName[] {
  return [...(command.flags ?? []), ...commonFlags]
}

/** cac checks them too, but lets `--as.x`, `--constructor` and their like pass. */
function checkFlagNames(command: CommandInfo, words: readonly string[]): void {
  const known = new Set(flagsOf(command).flatMap((name) => spellings(name)))
  for (const word of words.filter(isFlag)) {
    const name = word.split('=')[0]!
    if (!known.has(name)) throw misuse(command, `it has no flag ${quote(name)}`)
  }
}

/** `--follow`, or `-f` and `--follow`. */
function spellings(name: FlagName): string[] {
  return flagTable[name][0].split(/[ ,]+/).filter((word) => word.startsWith('-'))
}

function readFlags(command: CommandInfo, options: Record<string, unknown>): Flags {
  const flags: Record<string, string | true> = {}
  for (const name of flagsOf(command)) {
    const spelled = spellings(name).at(-1)!
    const value = options[optionKey(spelled)]
    if (value === undefined) continue
    const notation: string = flagTable[name][0]
    if (Array.isArray(value) && notation.endsWith('…>')) flags[name] = value.map(String).map(unshield).join(',')
    else if (Array.isArray(value) && notation.includes('<')) throw misuse(command, `${spelled} is given twice`)
    else if (!notation.includes('<')) flags[name] = flagOnly(command, spelled, value)
    else if (typeof value === 'string') flags[name] = unshield(value)
  }
  return flags as Flags
}

/** cac's name for `--reply-to` is `replyTo`. */
function optionKey(spelled: string): string {
  return spelled.slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function flagOnly(command: CommandInfo, spelled: string, value: unknown): true {
  if ([value].flat().every((one) => one === true)) return true
  throw misuse(command, `${spelled} takes no value`)
}

/** The error for a wrong call, with the help to read. */
export function misuse(command: CommandInfo, what: string): MeshError {
  return new MeshError('bad_request', `mesh ${command.name}: ${what}`, { hint: `see: mesh ${command.name} --help` })
}
