import { expect, test } from 'vitest'
import { usageOf } from '../../../src/cli/command.ts'
import { findCommand, parseArgs } from '../../../src/cli/parse.ts'
import { commands } from '../../../src/cli/table.ts'
import { MeshError } from '../../../src/errors.ts'

function parse(...argv: string[]) {
  const found = findCommand(argv)
  if (!found || 'group' in found) throw new Error('no command')
  const { command, args, flags, text, stdin, help } = parseArgs(found.command, found.rest)
  return { name: command.name, args, flags, text, stdin, help }
}

function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof MeshError) return error.code
    throw error
  }
  return 'none'
}

test('words, flags and the text are told apart', () => {
  expect(parse('send', 'alice', 'topic:b', '--thread', 't', '--json', '--', 'hi', '--json', '--')).toEqual({
    name: 'send',
    args: ['alice', 'topic:b'],
    flags: { thread: 't', json: true },
    text: ['hi', '--json', '--'],
    stdin: false,
    help: false,
  })
})

test('commands of two words, aliases, and flags before the command', () => {
  expect(parse('topic', 'join', 'x')).toMatchObject({ name: 'topic join', args: ['x'] })
  expect(parse('topic', '--json', 'join', 'x')).toMatchObject({
    name: 'topic join',
    args: ['x'],
    flags: { json: true },
  })
  expect(parse('who')).toMatchObject({ name: 'ps' })
  expect(parse('--as', 'topic', 'ps')).toMatchObject({ name: 'ps', flags: { as: 'topic' } })
  expect(findCommand(['topic'])).toEqual({ group: 'topic' })
  expect(findCommand(['topic', 'jion'])).toEqual({ group: 'topic' })
  expect(findCommand([])).toBeNull()
  expect(findCommand(['--', 'send'])).toBeNull()
})

test.each(['007', '1e3', '0x10', 'true', 'false', '', ' ', 'null', 'Infinity', '-0'.slice(1)])(
  'an argument stays the text that it is: %j',
  (word) => {
    expect(parse('alive', word)).toMatchObject({ args: [word] })
    expect(parse('ps', '--as', word)).toMatchObject({ flags: { as: word } })
    expect(parse('ps', `--as=${word}`)).toMatchObject({ flags: { as: word } })
    expect(parse('inbox', '--peek', word)).toMatchObject({ args: [word], flags: { peek: true } })
  },
)

test('a value may hold an equals sign, and begin with a dash when it is joined', () => {
  expect(parse('ps', '--as=a=b')).toMatchObject({ flags: { as: 'a=b' } })
  expect(parse('ps', '--as=-x')).toMatchObject({ flags: { as: '-x' } })
})

test('a dash is standard input, before and after --', () => {
  expect(parse('send', 'alice', '-')).toMatchObject({ args: ['alice'], text: null, stdin: true })
  expect(parse('send', 'alice', '--', '-')).toMatchObject({ args: ['alice'], text: null, stdin: true })
  expect(parse('send', 'alice', '--', '-', 'x')).toMatchObject({ text: ['-', 'x'], stdin: false })
  expect(codeOf(() => parse('send', 'alice', '-', '--', 'x'))).toBe('bad_request')
})

test('help is found wherever it stands, but not in a text', () => {
  expect(parse('send', '--help')).toMatchObject({ help: true })
  expect(parse('send', 'alice', '-h', '--wrong')).toMatchObject({ help: true })
  expect(parse('send', 'alice', '--', '--help')).toMatchObject({ help: false, text: ['--help'] })
})

test.each([
  ['an unknown command', ['sned']],
  ['an unknown flag', ['ps', '--wrong']],
  ['a flag of another command', ['ps', '--peek']],
  ['a short flag', ['ps', '-j']],
  ['a missing value', ['ps', '--as']],
  ['a value that is a flag', ['ps', '--as', '--json']],
  ['a flag twice', ['ps', '--as', 'a', '--as', 'b']],
  ['a value for a switch', ['ps', '--json=no']],
  ['a switch turned off', ['ps', '--no-json']],
  ['a flag of an object', ['ps', '--constructor', 'x']],
  ['a prototype', ['ps', '--__proto__', 'x']],
  ['a dotted flag', ['ps', '--as.name', 'x']],
  ['camel case', ['send', 'a', '--replyTo', 'x', '--', 'y']],
  ['a missing argument', ['alive']],
  ['one argument too many', ['alive', 'a', 'b']],
  ['a text for a command without', ['ps', '--', 'x']],
])('refused: %s', (_, argv) => {
  expect(codeOf(() => parse(...argv))).toBe('bad_request')
  expect(({} as Record<string, unknown>).x).toBeUndefined()
})

test('the error for a slip names the command that was meant', () => {
  for (const [slip, meant] of [
    ['sned', 'send'],
    ['statsu', 'status'],
    ['whomai', 'whoami'],
    ['topci', 'topic'],
  ]) {
    expect(() => findCommand([slip!])).toThrow(expect.objectContaining({ hint: `did you mean: mesh ${meant} --help` }))
  }
  for (const [part, meant] of [
    ['note', 'mesh state note'],
    ['history', 'mesh task history, mesh state history'],
  ]) {
    expect(() => findCommand([part!])).toThrow(expect.objectContaining({ hint: `did you mean: ${meant}` }))
  }
  expect(() => findCommand(['frobnicate'])).toThrow(expect.objectContaining({ hint: 'mesh --help lists the commands' }))
  expect(() => findCommand(['x'.repeat(100_000)])).toThrow(MeshError)
})

test('every example of every command parses as that command', () => {
  for (const command of commands) {
    expect(command.examples.length, command.name).toBeGreaterThan(0)
    for (const example of command.examples) {
      const ours = example
        .split(/&&|\||>/)
        .map((part) => part.trim())
        .find((part) => part.startsWith(`mesh ${command.name}`))
      const argv = [...ours!.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!)
      expect(parse(...argv.slice(1)).name, example).toBe(command.name)
    }
  }
})

test('a flag of another meaning is at home in two commands', () => {
  expect(parse('claim', 'src', '--for', '2h')).toMatchObject({ flags: { for: '2h' } })
  expect(parse('task', 'add', 'x', '--for', 'role:reviewer')).toMatchObject({ flags: { for: 'role:reviewer' } })
})

test.each([
  [['wait', 'alice', '--any'], 'mesh wait: --any is gone: mesh wait returns with the first target anyway'],
  [['spawn', '--print', '--', 'x'], 'mesh spawn: --print is gone: a session runs without a terminal'],
  [['task', 'list', '--mine'], 'mesh task list: --mine is gone: type: mesh task list mine'],
])('a flag that was removed says what to type instead: %j', (argv, message) => {
  expect(() => parse(...argv)).toThrow(expect.objectContaining({ message: expect.stringContaining(message) }))
})

test('the table is consistent', () => {
  const names = commands.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const { name, flags } of commands) {
    for (const [key, [notation]] of Object.entries(flags)) {
      const long = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
      expect(notation, name).toMatch(new RegExp(`^(-\\w, )?--${long}( <[^>]+>)?$`))
    }
  }
  expect(usageOf(commands.find(({ name }) => name === 'send')!)).toBe('send <to>… -- <text>')
  expect(usageOf(commands.find(({ name }) => name === 'wait')!)).toBe('wait [target]…')
})
