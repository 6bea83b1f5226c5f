/** Reads from the table what may come next on a command line. Pure. */
import { type Command, type Flag, spellings } from '../command.ts'
import { aliases, commands, sections } from '../table.ts'

/** Names that a sidecar knows, or files, which the shell knows. */
export type Kind = 'sessions' | 'gone' | 'recipients' | 'runs' | 'tasks' | 'files'

/** A candidate and what it is. */
export type Candidate = readonly [word: string, about: string]

export interface Wanted {
  candidates: readonly Candidate[]
  kinds: readonly Kind[]
}

const NOTHING: Wanted = { candidates: [], kinds: [] }
const helpFlag: Flag = ['--help', 'show what the command takes']

/** Values of flags, and words of arguments, that are always the same. */
const choices: Readonly<Record<string, readonly string[]>> = {
  '--until': ['idle', 'end', 'message', 'progress'],
  '--wait': ['stored', 'delivered', 'surfaced', 'reply'],
  '--notify': ['progress'],
  '--permission-mode': ['acceptEdits', 'auto', 'bypassPermissions', 'dontAsk', 'manual', 'plan'],
  'task list': ['open', 'mine', 'blocked', 'all'],
  completion: ['bash', 'zsh', 'fish'],
}

const flagKinds: Readonly<Record<string, readonly Kind[]>> = {
  ...{ '--as': ['sessions'], '--owner': ['sessions'], '--run': ['runs'], '--after': ['tasks'], '--on': ['tasks'] },
  ...{ '--cwd': ['files'], '--schema': ['files'] },
}

/** By the word of an argument in the table. */
const argumentKinds: Readonly<Record<string, readonly Kind[]>> = {
  ...{ to: ['recipients'], name: ['sessions'], target: ['sessions', 'runs'], run: ['runs'], path: ['files'] },
}

/** Commands whose arguments are other than their words say. */
const commandKinds: Readonly<Record<string, readonly (readonly Kind[])[]>> = {
  ...{ forget: [['gone']], rename: [], trace: [['runs']], reply: [], inbox: [], 'task link': [['tasks'], ['runs']] },
}

/** Finds what may stand in the place of the last of `words`, which follow `mesh`. */
export function wantedAt(words: readonly string[]): Wanted {
  const before = words.slice(0, -1)
  const current = words.at(-1) ?? ''
  if (before.includes('--')) return NOTHING
  const { names, command, args, flag } = read(before)
  if (flag) return flagValue(flag, command)
  if (current.startsWith('-')) return command ? { candidates: flagsOf(command), kinds: [] } : NOTHING
  const nested = names.length === 1 ? secondWords(names[0]!) : []
  if (!command) return names.length === 0 ? { candidates: firstWords(), kinds: [] } : { candidates: nested, kinds: [] }
  const { candidates, kinds } = argumentAt(command, args)
  return { candidates: [...nested, ...candidates], kinds }
}

interface Read {
  /** The words of the command's name. */
  names: string[]
  command: Command | undefined
  /** Counts the arguments before the last word. */
  args: number
  /** The flag whose value comes next. */
  flag: string | undefined
}

function read(before: readonly string[]): Read {
  const plain: string[] = []
  let flag: string | undefined
  for (const word of before) {
    const isValue = flag !== undefined
    flag = isValue || !word.startsWith('-') || !takesValue(word) ? undefined : word
    if (!isValue && !word.startsWith('-')) plain.push(word)
  }
  if (plain[0] === 'help') plain.shift()
  const first = plain[0] === undefined ? undefined : (aliases[plain[0]] ?? plain[0])
  const pair = commands.find(({ name }) => name === `${first} ${plain[1]}`)
  const command = pair ?? commands.find(({ name }) => name === first)
  const names = first === undefined ? [] : [first, ...plain.slice(1, pair ? 2 : 1)]
  return { names: plain.length > 1 && !command ? plain : names, command, args: plain.length - names.length, flag }
}

function takesValue(word: string): boolean {
  if (word.includes('=')) return false
  return commands.some(({ flags }) =>
    Object.values(flags).some((flag) => flag[0].includes('<') && spellings(flag).includes(word)),
  )
}

function flagValue(flag: string, command: Command | undefined): Wanted {
  // It is a session for a task, and a time for a claim on files.
  if (flag === '--for') return command?.name.startsWith('task ') ? { candidates: [], kinds: ['sessions'] } : NOTHING
  return { candidates: fixed(flag), kinds: flagKinds[flag] ?? [] }
}

function argumentAt(command: Command, at: number): Wanted {
  const words = command.args?.split(' ') ?? []
  const isSeveral = words.at(-1)?.includes('...') === true
  const word = words[at] ?? (isSeveral ? words.at(-1) : undefined)
  if (word === undefined) return NOTHING
  const own = commandKinds[command.name]
  const byWord = word.includes('id') && command.name.startsWith('task ') ? ['tasks' as const] : undefined
  const kinds = own ? own[at] : (byWord ?? argumentKinds[word.replace(/[^a-z]/g, '')])
  return { candidates: at === 0 ? fixed(command.name) : [], kinds: kinds ?? [] }
}

function fixed(key: string): Candidate[] {
  return (choices[key] ?? []).map((word) => [word, ''])
}

function flagsOf(command: Command): Candidate[] {
  const flags = [...Object.values(command.flags), helpFlag]
  return flags.map((flag) => [spellings(flag).at(-1)!, flag[1]])
}

function firstWords(): Candidate[] {
  const singles = commands.filter(({ name }) => !name.includes(' ')).map(({ name, about }) => [name, about] as const)
  const groups = new Set(commands.filter(({ name }) => name.includes(' ')).map(({ name }) => name.split(' ')[0]!))
  const known = new Set(singles.map(([name]) => name))
  const own = [...groups].filter((name) => !known.has(name)).map((name) => [name, titleOf(name)] as const)
  return [...singles, ...own, ['help', 'list the commands, or explain one']]
}

function titleOf(group: string): string {
  const inGroup = commands.filter(({ name }) => name.startsWith(`${group} `)).map(({ name }) => name.split(' ')[1])
  return sections.find(({ name }) => name === group)?.title ?? inGroup.join(', ')
}

function secondWords(first: string): Candidate[] {
  const inGroup = commands.filter(({ name }) => name.startsWith(`${first} `))
  return inGroup.map(({ name, about }) => [name.slice(first.length + 1), about])
}
