/** Every flag, and what describes a command. Data. */
import type { Context } from './context.ts'

/** Flags with a value have it in angle brackets, with an ellipsis if they may be given several times. Each is at home in every command that lists it. */
export const flagTable = {
  json: ['--json', 'print JSON, errors included'],
  as: ['--as <name>', 'act as the operator of this name (default: MESH_NAME, else the login name)'],
  thread: ['--thread <name>', 'the thread that the message belongs to'],
  replyTo: ['--reply-to <id>', 'the message that this one answers'],
  intent: ['--intent <word>', 'what the message is for, for example request or info'],
  wait: ['--wait <state>', 'wait until it is stored, delivered, surfaced, or a reply came'],
  timeout: ['--timeout <time>', 'stop waiting after 500ms, 30s, 5m, 2h …'],
  peek: ['--peek', 'leave the messages unread'],
  follow: ['--follow', 'print messages as they come, until interrupted'],
  watch: ['--watch', 'show changes as they happen, until interrupted'],
  limit: ['--limit <n>', 'at most this many messages'],
  wake: ['--wake', 'have the model read a short message: proves a door'],
  until: ['--until <what>', 'idle, end, message or progress (default: a session is idle or ends, a run ends)'],
  fix: ['--fix', 'mend what can be mended without a decision of yours, and look again'],
  end: ['--end', 'end them: SIGTERM, and SIGKILL after 3 s'],
  all: ['--all', 'all of them'],
  any: ['--any', 'the first of them (default)'],
  project: ['--project', "only for this repository: its settings.local.json instead of the user's settings"],
  plugin: ['--plugin', 'as a plugin of the client instead of lines in its settings'],
  script: ['--script', 'only the script that the hooks call, for a plugin that the client fetched by itself'],
  print: ['--print', 'show what would be written, and where; write nothing'],
  allow: ['--allow', 'also let the model run the commands that read and talk without a dialog'],
  title: ['--title <text>', 'another title'],
  body: ['--body <text>', 'what is to be done; - reads it from standard input'],
  result: ['--result <text>', 'what came of it; - reads it from standard input'],
  for: ['--for <who>', 'NAME or role:R; "anybody" for nobody in particular'],
  forTime: ['--for <time>', 'how long: 30m, 2h … (default: 1h)'],
  why: ['--why <text>', 'what for; those who meet the claim read it'],
  allClaims: ['--all', 'all that you hold in this repository'],
  after: ['--after <ids…>', 'tasks that have to be done first; also several times, or with commas'],
  priority: ['--priority <n>', '0 (first) to 9; 5 unless said'],
  label: ['--label <words…>', 'labels; also several times, or with commas'],
  on: ['--on <what>', 'a task id, or words'],
  next: ['--next', 'the most urgent task that is ready and for you'],
  waitForTask: ['--wait', 'wait until there is one'],
  open: ['--open', 'tasks that are not over (default)'],
  mine: ['--mine', 'tasks that you hold or that are for you'],
  blocked: ['--blocked', 'tasks that wait for something'],
  allTasks: ['--all', 'also those that are over'],
  runName: ['--name <name>', 'what the run is called'],
  timeLimit: ['--timeout <time>', 'end the command after 500ms, 30s, 5m, 2h …'],
  detach: ['--detach', 'do not wait: its output goes to logs (mesh logs), its end to you'],
  cwd: ['--cwd <dir>', 'where the command runs'],
  notify: ['--notify <what>', 'progress: be woken by that too, not only by its end and its waiting'],
  spawnName: ['--name <name>', 'what the session is called (default: made from yours)'],
  worktree: ['--worktree', "in a git worktree of its own, kept: the client's .claude/worktrees/<name>"],
  background: ['--bg', "in the client's background: people can attach to it, it waits for their permissions"],
  printForm: ['--print', 'without a terminal: what it may not do it is refused (the default)'],
  spawnTime: ['--timeout <time>', 'end it after 30s, 5m, 2h …'],
  schema: ['--schema <file>', 'a JSON Schema that its result has to fit'],
  model: ['--model <name>', 'its model'],
  permissionMode: [
    '--permission-mode <mode>',
    "the client's: acceptEdits, auto, bypassPermissions, dontAsk, manual, plan",
  ],
  allowedTools: ['--allowed-tools <rules>', 'tools that it may use unasked, for example "Bash(npm test:*),Edit"'],
  failed: ['--failed', 'the work could not be done'],
  doneResult: ['--result <json>', 'what came of it, as JSON; - reads it from standard input'],
  signal: ['--signal <name>', 'the first signal (default: TERM)'],
  grace: ['--grace <time>', 'how long it has until SIGKILL (default: 10s)'],
  percent: ['--percent <n>', 'how much of it is done'],
  stderr: ['--stderr', 'its standard error instead of its standard output'],
  lines: ['-n, --lines <n>', 'the last lines only'],
  followRun: ['-f, --follow', 'go on printing what comes, until the run ends or you interrupt'],
  runs: ['--runs', 'the runs instead of the sessions'],
  ofRun: ['--run <id>', 'of this run only'],
  ofOwner: ['--owner <name>', 'of the runs of this session only'],
  shared: ['--shared <name>', 'the document of this name that all sessions of the project share'],
  ifRev: ['--if-rev <n>', 'only if the key was set last in this revision; 0: only if it is not there'],
  rev: ['--rev <n>', 'as it was in this revision'],
  since: ['--since <time>', 'from this long ago, for example 10m, or from a time in ISO 8601'],
} as const satisfies Record<string, readonly [string, string]>

export type FlagName = keyof typeof flagTable
type Takes<F extends FlagName> = (typeof flagTable)[F][0] extends `${string}<${string}` ? string : true
export type Flags = { [F in FlagName]?: Takes<F> }

export interface CommandInfo {
  /** One or two words. */
  name: string
  /** Positional arguments in cac's notation: `<needed>`, `[optional]`, `<...several>`. */
  args?: string
  about: string
  /** The command takes a text: after `--`, or from standard input with `-`. */
  text?: true
  /** The command takes another command with its words after `--`. */
  command?: true
  flags?: readonly FlagName[]
  examples: readonly string[]
  /** Left out of the list that `mesh` alone prints. */
  rare?: true
  load(): Promise<{ run(context: Context): Promise<number | undefined> }>
}

/** For every command. */
export const commonFlags: readonly FlagName[] = ['as', 'json']
