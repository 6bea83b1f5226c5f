/** Makes the command line of a session that mesh starts, and an environment without the caller's session. */
import type { Env } from '../../../host/home.ts'

const CLIENT = 'claude'
const EXECUTABLE = /(^|\/)claude[^/]*$/

/**
 * Returns the client's command: as PATH has it, else the very client whose session calls (`CLAUDE_CODE_EXECPATH`,
 * 2.1.329), which a shell's alias may have started.
 */
export function clientCommand({ CLAUDE_CODE_EXECPATH: own = '' }: Env, isInPath: (word: string) => boolean): string {
  return isInPath(CLIENT) || !EXECUTABLE.test(own) ? CLIENT : own
}

/**
 * Variables that a session of the client adds to the environment of its hooks, shells, MCP servers and background jobs
 * (2.1.329; `test/claude/runs/spawn.test.ts` compares). A client that inherits CLAUDE_CODE_CHILD_SESSION keeps itself
 * out of its registry and resume lists; the socket, its token and the ids belong to another session. Everything else,
 * including what authenticates and configures the client, is passed on to the child.
 */
const OF_SESSION =
  /^(CLAUDECODE|AI_AGENT|CLAUDE_(PID|EFFORT|ENV_FILE|PROJECT_DIR|JOB_DIR|SESSION_ID|PLUGIN_(ROOT|DATA)|BG_\w+)|CLAUDE_CODE_(CHILD_\w+|ENTRYPOINT|EXECPATH|SESSION_(ID|ATTENDED|KIND|NAME|LOG|ORIGIN)|MESSAGING_(SOCKET|TOKEN)|LAUNCHED_BY_SESSION_IDS|HOST_SHORT_TEMP_DIRS|TOOL_USE_ID))$/

/** Variables of the calling session or run, not of the child. */
const OF_MESH = new Set(['MESH_SESSION', 'MESH_SPACE', 'MESH_RUN_ID', 'MESH_LINEAGE', 'MESH_NAME'])

/** Returns the environment of a session that this one starts. */
export function childEnv(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !OF_SESSION.test(name) && !OF_MESH.has(name)))
}

export interface Launch {
  /** The client's command. */
  client: string
  /** The id of the conversation, a UUID. In the background the client chooses its own. */
  session: string
  /** Shown in the client's lists. */
  name: string
  background: boolean
  /** Runs it in a git worktree of its own, which the client makes and keeps: `.claude/worktrees/<name>`. */
  worktree: boolean
  /** A text for the model besides its prompt; may be empty. */
  context: string
  /** Variables of the session's own environment: a background session otherwise has that of the client's daemon. */
  env: Readonly<Record<string, string>>
  model?: string | undefined
  permissionMode?: string | undefined
  allowedTools?: string | undefined
}

/**
 * Returns the command's words. The prompt is not among them: it goes in on standard input, where nothing in it can be
 * taken for a flag (`--version` reaches the model as it is). Values are joined to their flags for the same reason.
 */
export function launchCommand(launch: Launch): string[] {
  const { client, session, name, background, worktree, context, env, model, permissionMode, allowedTools } = launch
  const form = background
    ? ['--bg', `--settings=${JSON.stringify({ env })}`]
    : ['-p', '--output-format=stream-json', '--verbose', `--session-id=${session}`]
  const more = {
    name,
    worktree: worktree ? name : undefined,
    model,
    'permission-mode': permissionMode,
    'allowed-tools': allowedTools,
    'append-system-prompt': context === '' ? undefined : context,
  }
  const flags = Object.entries(more).flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}=${value}`]))
  return [client, ...form, ...flags]
}

/** Allows the model to say that it is done without a dialog, which no person would answer. */
export const DONE_RULE = 'Bash(mesh done:*)'

/** Returns the text that asks a child for a result. */
export function resultContext(schema: string): string {
  return [
    'Before you end, give your result as JSON that fits the schema below, once, from the shell:',
    "mesh done --result '<JSON>'   (if you could not do it: mesh done --failed --result '<JSON or \"why\">')",
    'If it does not fit, the command says why; then try again.',
    schema,
  ].join('\n')
}
