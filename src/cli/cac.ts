/**
 * The words of one command's call → its arguments and flags, by cac. All that has to be done so that cac takes words as
 * they are stands here: nothing is read as a number, no flag is guessed, and errors are in our words.
 */
import { cac } from 'cac'
import type { MeshError } from '../errors.ts'
import { quote } from '../wire/names.ts'
import { type AnyFlags, type Command, type Flag, misuse, spellings, usageOf } from './command.ts'

/** Throws `bad_request` for what the command does not take. */
export function readWords(command: Command, words: readonly string[]): { args: string[]; flags: AnyFlags } {
  checkFlagNames(command, words)
  const cli = cac('mesh')
  const described = cli.command(command.args ?? '')
  for (const [notation, about] of Object.values(command.flags)) described.option(notation, about)
  described.action(() => {})
  try {
    cli.parse(['', '', ...repeated(command, words).map(shield)])
  } catch (error) {
    throw inWords(command, unshield((error as Error).message))
  }
  return { args: cli.args.map(unshield), flags: readFlags(command, cli.options) }
}

export function isFlag(word: string): boolean {
  return word.length > 1 && word.startsWith('-')
}

/**
 * cac reads `007` as 7, an empty value as 0, and takes the word after a boolean flag for its value when it is `true`.
 * A NUL, which no argument can contain, before every word that is no flag keeps it the text that it is.
 */
function shield(word: string): string {
  if (!isFlag(word)) return `\0${word}`
  const equals = word.indexOf('=')
  return equals < 0 ? word : `${word.slice(0, equals)}=\0${word.slice(equals + 1)}`
}

function unshield(word: string): string {
  return word.replaceAll('\0', '')
}

/** cac checks them too, but lets `--as.x`, `--constructor` and their like pass. */
function checkFlagNames(command: Command, words: readonly string[]): void {
  const known = new Set(Object.values(command.flags).flatMap(spellings))
  for (const word of words.filter(isFlag)) {
    const name = word.split('=')[0]!
    if (known.has(name)) continue
    const instead = Object.hasOwn(command.removed ?? {}, name) ? command.removed![name] : undefined
    throw misuse(command, instead ? `${name} is gone: ${instead}` : `it has no flag ${quote(name)}`)
  }
}

/** `--after A B` is `--after A --after B`, for ids. */
function repeated(command: Command, words: readonly string[]): string[] {
  const lists = Object.values(command.flags).filter(([notation]) => notation.endsWith('<ids…>'))
  const takers = new Set(lists.flatMap(spellings))
  const given: string[] = []
  for (const word of words) {
    const flag = given.at(-2)
    const isNext = flag !== undefined && takers.has(flag) && /^[mrt]_[0-9a-f]+$/.test(word)
    given.push(...(isNext ? [flag, word] : [word]))
  }
  return given
}

function readFlags(command: Command, options: Record<string, unknown>): AnyFlags {
  const read = Object.entries(command.flags).map(([key, flag]) => [key, readFlag(command, flag, options)] as const)
  return Object.fromEntries(read.filter(([, value]) => value !== undefined))
}

function readFlag(command: Command, flag: Flag, options: Record<string, unknown>): string | true | undefined {
  const [notation] = flag
  const spelled = spellings(flag).at(-1)!
  const value = options[spelled.slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())]
  if (value === undefined) return undefined
  const given = [value].flat()
  if (!notation.includes('<')) {
    if (given.every((one) => one === true)) return true
    throw misuse(command, `${spelled} takes no value`)
  }
  if (given.length > 1 && !notation.endsWith('…>')) throw misuse(command, `${spelled} is given twice`)
  return given.map(String).map(unshield).join(',')
}

/** Says in our words what cac found wrong. */
function inWords(command: Command, message: string): MeshError {
  const [, name = ''] = /`(.*?)`/s.exec(message) ?? []
  if (message.startsWith('missing required args')) {
    return misuse(command, `it needs ${usageOf(command).slice(command.name.length + 1)}`)
  }
  if (message.startsWith('option ')) return misuse(command, `${name} needs a value`)
  if (!message.startsWith('Unused args')) return misuse(command, message)
  const after = command.command ? ': a command comes after --' : command.text ? ': a text comes after --' : ''
  return misuse(command, `it takes no ${quote(name)}${after}`)
}
