/** The command line: finds the command, runs it, sets the exit code. */
import { version } from '../client/version.ts'
import { MeshError } from '../errors.ts'
import type { Context } from './command.ts'
import { createContext, otherName, workingDirectory } from './context.ts'
import { fail, withHelpOf } from './output.ts'
import { findCommand, type Parsed, parseArgs } from './parse.ts'
import { overview } from './table.ts'

const INTERRUPTED = 130
/** Exit code for errors of `mesh run` itself, since its other codes are its command's: as shells and env(1) have it. */
const OWN_FAILURE = 125

async function main(argv: string[]): Promise<number> {
  if (argv[0] === '__complete') return (await import('./completion/complete.ts')).complete(argv.slice(1))
  const words = beforeText(argv)
  if (words[0] === 'help') return help(argv.slice(1))
  const found = findCommand(argv)
  if (!found) return withoutCommand(argv)
  if ('group' in found) return groupHelp(found.group, words)
  const parsed = parseArgs(found.command, found.rest)
  if (!parsed.help) return execute(parsed)
  const { printHelp } = await import('./help.ts')
  printHelp(parsed.command)
  return 0
}

async function execute(parsed: Parsed): Promise<number> {
  const context = createContext(parsed, process.env, workingDirectory)
  const run = await parsed.command.load()
  watchSignals(context)
  try {
    const code = (await run(context)) ?? 0
    const other = otherName(context)
    if (other) context.out.note(`${context.flags.as} is the name of another session: this was done as ${other}`)
    return code
  } catch (error) {
    throw await withSandboxHint(withHelpOf(parsed.command.name, error), context)
  }
}

/** Adds the setting that lets mesh through, which is the client's. */
async function withSandboxHint(error: unknown, { home }: Context): Promise<unknown> {
  if (!(error instanceof MeshError) || error.code !== 'sandboxed') return error
  const { openSandbox } = await import('../harness/setup.ts')
  const hint = `mesh tools of MCP work; for the shell, Claude Code’s settings need ${openSandbox(home)}`
  return new MeshError('sandboxed', error.message, { cause: error, hint })
}

/** `mesh help`, of a command, of a group of commands, or of a subject. */
async function help(argv: string[]): Promise<number> {
  const { printSection } = await import('./help.ts')
  return argv[0] !== undefined && printSection(argv[0]) ? 0 : main([...argv, '--help'])
}

async function withoutCommand(argv: string[]): Promise<number> {
  if (argv.some((word) => word === '--version' || word === '-v')) {
    process.stdout.write(argv.includes('--json') ? `${JSON.stringify({ version })}\n` : `mesh ${version}\n`)
    return 0
  }
  const parsed = parseOverview(argv)
  if (!parsed.help) return execute(parsed)
  const { printAll } = await import('./help.ts')
  printAll()
  return 0
}

function parseOverview(argv: string[]): Parsed {
  try {
    return parseArgs(overview, argv)
  } catch {
    throw new MeshError('bad_request', 'there is no command', { hint: 'mesh --help lists the commands' })
  }
}

async function groupHelp(group: string, words: string[]): Promise<number> {
  const { groupMembers, printGroup } = await import('./help.ts')
  if (words.includes('--help') || words.includes('-h')) {
    printGroup(group)
    return 0
  }
  const members = groupMembers(group).join(', ')
  throw new MeshError('bad_request', `mesh ${group} needs one of: ${members}`, { hint: `see: mesh ${group} --help` })
}

/** Nothing of a command is undone by an interrupt: what was sent stays sent, what was not shown stays unread. */
function watchSignals(context: Context): void {
  process.once('SIGINT', () => {
    if (context.onInterrupt) context.out.note(context.onInterrupt)
    process.exit(INTERRUPTED)
  })
}

function beforeText(argv: string[]): string[] {
  const end = argv.indexOf('--')
  return end < 0 ? argv : argv.slice(0, end)
}

// Before anything that an older version could stumble over.
const MIN_NODE = 20

function checkNode(): void {
  if (Number.parseInt(process.versions.node, 10) >= MIN_NODE) return
  console.error(`mesh: needs Node ${MIN_NODE} or later, this is ${process.version}`)
  process.exit(5)
}

checkNode()
const argv = process.argv.slice(2)
main(argv).then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    const code = fail(error, beforeText(argv).includes('--json'))
    process.exitCode = argv[0] === 'run' ? OWN_FAILURE : code
    // The rest of a long standard input is not read.
    process.stdin.destroy()
  },
)
