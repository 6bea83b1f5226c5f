/** A command: how it is called, what it takes and where its code is, and what that code is given when it runs. */
import type { Sidecar } from '../client/sidecar.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import type { Output } from './output.ts'

/** A notation such as `--reply-to <id>`, and what the flag does. `<…>` is a value; `<ids…>` may be given several times. */
export type Flag = readonly [notation: string, about: string]
/** Flags by the key under which code reads them: `replyTo` for `--reply-to`. */
export type FlagSet = Readonly<Record<string, Flag>>
type ValueOf<F extends Flag> = F[0] extends `${string}<${string}` ? string : true
type ValuesOf<S extends FlagSet> = { readonly [K in keyof S]: ValueOf<S[K]> | undefined }

/** Flags with a value, as a command's code names them. */
export type Values<N extends string> = { readonly [K in N]: string | undefined }
/** Flags without a value, as a command's code names them. */
export type Switches<N extends string> = { readonly [K in N]: true | undefined }
export type AnyFlags = Readonly<Record<string, string | true | undefined>>

/** Options of every command. */
export const commonFlags = {
  as: ['--as <name>', 'act as the operator of this name (default: MESH_NAME, else your login name)'],
  json: ['--json', 'print JSON, errors included'],
} as const satisfies FlagSet
type CommonFlags = ValuesOf<typeof commonFlags>

export interface Usage {
  /** Has one or two words. */
  readonly name: string
  /** Positional arguments in cac's notation: `<needed>`, `[optional]`, `<...several>`. */
  readonly args?: string
  readonly about: string
  /** The command takes a text: after `--`, or from standard input with `-`. */
  readonly text?: true
  /** The command takes another command with its words after `--`. */
  readonly command?: true
  /**
   * The command changes nothing, and makes no session. `any`: every sidecar of the project answers alike; `own`: the answer is
   * that of one session.
   */
  readonly reads?: 'any' | 'own'
  /** Flags that earlier versions had, and what to type instead. */
  readonly removed?: Readonly<Record<string, string>>
  readonly examples: readonly string[]
}

export interface Command extends Usage {
  /** Its own and the common ones. */
  readonly flags: FlagSet
  load(): Promise<Run<AnyFlags>>
}

/** Resolves with the exit code; undefined is 0. */
export type Run<F = unknown> = (context: Context<F>) => Promise<number | undefined>

/** A command as its table declares it. The compiler compares the flags with those that the code reads. */
export function define<const S extends FlagSet = Record<never, Flag>>(
  declared: Usage & { flags?: S; load(): Promise<Run<ValuesOf<S>>> },
): Command {
  return {
    ...declared,
    flags: { ...declared.flags, ...commonFlags },
    load: async () => {
      const run = await declared.load()
      return (context) => run(context as unknown as Context<ValuesOf<S>>)
    },
  }
}

/** A command's arguments and flags, the place it runs in, and the way to its sidecar. */
export interface Context<F = unknown> {
  readonly command: Usage
  readonly args: readonly string[]
  /** The words after `--`; null without any. */
  readonly words: readonly string[] | null
  /** `-` was given: the text comes from standard input. */
  readonly stdin: boolean
  readonly flags: F & CommonFlags
  readonly env: Env
  readonly cwd: string
  readonly home: Home
  readonly out: Output
  /** Printed on standard error when the person interrupts the command. */
  onInterrupt: string | null
  /** Reads the message's text. Throws `bad_request` when there is none. */
  text(): Promise<string>
  /** Returns the sidecar that the command speaks for; its first call starts it, if need be. */
  sidecar(): Sidecar
  /** Returns the person's sidecar, also within an agent's session. Starts as `sidecar` does. */
  operator(): Sidecar
}

/** Makes the error for a wrong call, with the help to read. */
export function misuse(command: Usage, what: string): MeshError {
  return new MeshError('bad_request', `mesh ${command.name}: ${what}`, { hint: `see: mesh ${command.name} --help` })
}

/** Refuses a flag that means nothing without another. */
export function needs<N extends string>(context: Context<Values<N>>, flag: N, other: N): void {
  const { command, flags } = context
  if (flags[flag] !== undefined && flags[other] === undefined) throw misuse(command, `--${flag} needs --${other}`)
}

/** Returns a command's name and arguments as its help shows them. */
export function usageOf(command: Usage): string {
  const text = command.text ? ' -- <text>' : command.command ? ' -- <command…>' : ''
  const args = command.args ? ` ${command.args.replace(/([<[])\.\.\.(\w+[>\]])/, '$1$2…')}` : ''
  return `${command.name}${args}${text}`
}

/** The ways to write a flag: `-f` and `--follow`; the long one is last. */
export function spellings([notation]: Flag): string[] {
  return notation.split(/[ ,]+/).filter((word) => word.startsWith('-'))
}
