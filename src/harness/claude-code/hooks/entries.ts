/** The hook entries of the client's settings, or of a plugin: shell lines that run the hook script. Pure. */
import { SCRIPT_NAME, WAKE_EXIT, WATCHED_FILE } from './files.ts'

/**
 * The sidecar lives as long as its client. The default of 600 s was not enforced on `async` hooks (2.1.329); this asks
 * for a day anyway.
 */
const SIDECAR_TIMEOUT_S = 86_400
const HOOK_TIMEOUT_S = 10
/** Ends every line of mesh's, whatever version wrote it. */
const MARK = '# mesh'

/**
 * Undoes options that bash takes from an exported SHELLOPTS. The trap ends a shell with 0 that gives up by itself: dash
 * and busybox exit 2 when no process is left to fork.
 */
const GUARD = "set +euvxC; trap 'exit 0' EXIT; "
/** `meshHome` of host/home.ts in sh. */
const FIND_HOME =
  `case \${MESH_HOME-} in /*) H=$MESH_HOME ;; *) ` +
  `[ -d /System/Library ] && H="\${HOME-}/Library/Application Support/mesh" || ` +
  `H=\${XDG_STATE_HOME:-\${HOME-}/.local/state}/mesh ;; esac; `
/** Makes the script for a plugin that the client fetched by itself: `mesh install` may never have been run. */
const PREPARE = `[ -r "$S" ] || sh "\${CLAUDE_PLUGIN_ROOT}/hooks/prepare.sh" >/dev/null 2>&1; `

/** Quotes a text as one word of sh. */
export function quoteWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

export interface CommandHook {
  type: 'command'
  command: string
  timeout: number
  async?: boolean
  asyncRewake?: boolean
}

/** An entry of the client's list for one event. */
export interface HookEntry {
  matcher?: string
  hooks: CommandHook[]
}

/**
 * Compactions that begin by themselves. After a `/compact` the client lists the line of every hook that it ran in the
 * model's context, also of an async one (2.1.329, 2.1.197): `status/typed-compact.ts` sees those.
 */
const matchers: Record<string, string> = { PreCompact: 'auto' }

/** Returns the entry that has these hooks of an event. */
export function hookEntry(event: string, hooks: CommandHook[]): HookEntry {
  return { ...(Object.hasOwn(matchers, event) ? { matcher: matchers[event]! } : {}), hooks }
}

/** Returns the entries of a file of hooks. */
export function hookEntries(hooks: Record<string, CommandHook[]>): Record<string, HookEntry[]> {
  return Object.fromEntries(Object.entries(hooks).map(([event, list]) => [event, [hookEntry(event, list)]]))
}

/** Returns mesh's hooks for the client's settings, by event. `homeRoot` is the mesh home. */
export function settingsHooks(homeRoot: string): Record<string, CommandHook[]> {
  return hooksOf((event) => hookLine(`H=${quoteWord(homeRoot)}; ${GUARD}`, event))
}

/**
 * Returns the same hooks for a plugin, by event. Without `homeRoot` they find the mesh home when they run, and make its
 * script at the start of a session if it is missing.
 */
export function pluginHooks(homeRoot: string | null): Record<string, CommandHook[]> {
  if (homeRoot !== null) return hooksOf((event) => hookLine(`H=${quoteWord(homeRoot)}; ${GUARD}`, event, ' plugin'))
  const isStart = (event: string) => event === 'SessionStart' || event === 'sidecar'
  return hooksOf((event) => hookLine(`${GUARD}${FIND_HOME}`, event, ' plugin', isStart(event) ? PREPARE : ''))
}

function hooksOf(line: (event: string) => string): Record<string, CommandHook[]> {
  const hook = (command: string, extra: Partial<CommandHook> = {}): CommandHook => {
    return { type: 'command', command, timeout: HOOK_TIMEOUT_S, ...extra }
  }
  const plain = (event: string) => [hook(line(event))]
  return {
    SessionStart: [hook(line('SessionStart')), hook(line('sidecar'), { async: true, timeout: SIDECAR_TIMEOUT_S })],
    UserPromptSubmit: plain('UserPromptSubmit'),
    PostToolBatch: plain('PostToolBatch'),
    Stop: plain('Stop'),
    StopFailure: plain('StopFailure'),
    PermissionRequest: plain('PermissionRequest'),
    PreCompact: plain('PreCompact'),
    CwdChanged: plain('CwdChanged'),
    SubagentStart: plain('SubagentStart'),
    SubagentStop: plain('SubagentStop'),
    SessionEnd: plain('SessionEnd'),
    FileChanged: [hook(line('FileChanged'), { asyncRewake: true })],
  }
}

/** Returns true for a command that some version of `settingsHooks` made. */
export function isOurs(command: unknown): boolean {
  return typeof command === 'string' && command.includes(SCRIPT_NAME) && command.endsWith(MARK)
}

/** Returns the mesh home that a line of mesh's names; null for a line that finds it when it runs. */
export function homeOfLine(command: string): string | null {
  return unquoteWord(/^H=('(?:[^']|'\\'')*');/.exec(command)?.[1])
}

/** Reverses `quoteWord`; null stays null. */
export function unquoteWord(word: string | undefined): string | null {
  return word === undefined ? null : word.slice(1, -1).replaceAll(`'\\''`, `'`)
}

/**
 * Returns the line of one event. Exit code 2 of a hook blocks the user's prompt, and sh exits 2 by itself when its
 * script is missing: so the line tests first and ends in `exit 0` (seen on 2.1.329 with dash and bash). Clients without
 * CLAUDE_PID run the line as their own child. Between two tool calls the line makes a single test: is there mail? The
 * same goes for FileChanged, which also runs for files of others. There alone exit code 2 is wanted, since it wakes the
 * session, and only when the script reports that it gave the mail.
 */
function hookLine(setHome: string, event: string, form = '', prepare = ''): string {
  const file = { PostToolBatch: 'mail', FileChanged: WATCHED_FILE }[event]
  const home = file ? `case \${MESH_HOME-} in /*) M=$MESH_HOME ;; *) M=$H ;; esac; ` : ''
  const guard = file ? `[ -e "$M/run/cc-\${CLAUDE_PID:-$PPID}/${file}" ] && ` : ''
  // `exec` spares the sidecar's shell one waiting parent.
  const run = event === 'sidecar' ? 'exec sh' : 'sh'
  const tests = `${guard}[ -r "$S" ]`
  const isWake = event === 'FileChanged'
  const call = `${run} "$S" ${event} "\${CLAUDE_PID:-$PPID}"${form} ${isWake ? '3>&2 ' : ''}2>/dev/null`
  const action = isWake ? `{ ${call}; [ $? = ${WAKE_EXIT} ] && trap - EXIT && exit 2; }` : call
  return `${setHome}S="$H/hooks/${SCRIPT_NAME}"; ${prepare}${home}${tests} && ${action}; exit 0 ${MARK}`
}
