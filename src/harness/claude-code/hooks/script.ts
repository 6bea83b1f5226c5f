/** The shell side of the harness: the one hook script and the settings lines that run it. Pure. */
import { basename } from 'node:path'
import { runEnvPath } from '../../../host/home.ts'
import { sidecarFlags } from '../../../host/process/node-flags.ts'
import { limits } from '../../../wire/limits.ts'

const SCRIPT_NAME = 'claude-code.sh'
/** How long the first prompt may wait for the sidecar's answer, in steps of 20 ms. */
const ANSWER_STEPS = 150
/** The sidecar lives as long as its client. The default, 600 s, was not enforced on `async` hooks; ask for a day anyway. */
const SIDECAR_TIMEOUT_S = 86_400
const HOOK_TIMEOUT_S = 10
/** In the run directory: the client watches it, and what lies in it wakes an idle session. */
export const WATCHED_FILE = 'wake'
/** In the run directory: a text of mesh's own that the next prompt takes along. */
export const LEFT_FILE = 'left'
/** The script gave the wake's text. Not 2, with which sh ends by itself when something is missing. */
const WAKE_EXIT = 42
/** Ends every line that is ours, whatever version wrote it. */
const MARK = '# mesh'

/** `meshHome` of host/home.ts, in sh. */
const FIND_HOME =
  'case $MESH_HOME in /*) H=$MESH_HOME ;; *) ' +
  '[ -d /System/Library ] && H="$HOME/Library/Application Support/mesh" || ' +
  `H=\${XDG_STATE_HOME:-$HOME/.local/state}/mesh ;; esac; `
/** A plugin that the client fetched by itself: `mesh install` may never have been run. */
const PREPARE = `[ -r "$S" ] || sh "\${CLAUDE_PLUGIN_ROOT}/hooks/prepare.sh" >/dev/null 2>&1; `

/** One word of sh. */
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

/** Our entries of the client's settings, by event. `homeRoot` is the mesh home. */
export function settingsHooks(homeRoot: string): Record<string, CommandHook[]> {
  return hooksOf((event) => hookLine(`H=${quoteWord(homeRoot)}; `, event))
}

/**
 * The same hooks as a plugin's, by event. Without `homeRoot` they find the mesh home when they run, and make its script
 * at the start of a session if it is not there.
 */
export function pluginHooks(homeRoot: string | null): Record<string, CommandHook[]> {
  if (homeRoot !== null) return hooksOf((event) => hookLine(`H=${quoteWord(homeRoot)}; `, event, ' plugin'))
  const isStart = (event: string) => event === 'SessionStart' || event === 'sidecar'
  return hooksOf((event) => hookLine(FIND_HOME, event, ' plugin', isStart(event) ? PREPARE : ''))
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
    SubagentStart: plain('SubagentStart'),
    SubagentStop: plain('SubagentStop'),
    SessionEnd: plain('SessionEnd'),
    FileChanged: [hook(line('FileChanged'), { asyncRewake: true })],
  }
}

/** True for a command that some version of `settingsHooks` made. */
export function isOurs(command: unknown): boolean {
  return typeof command === 'string' && command.includes(SCRIPT_NAME) && command.endsWith(MARK)
}

/** The mesh home that a line of ours names; null for one that finds it when it runs. */
export function homeOfLine(command: string): string | null {
  return unquoteWord(/^H=('(?:[^']|'\\'')*');/.exec(command)?.[1])
}

/** The reverse of `quoteWord`; null for nothing. */
export function unquoteWord(word: string | undefined): string | null {
  return word === undefined ? null : word.slice(1, -1).replaceAll(`'\\''`, `'`)
}

/**
 * Exit code 2 of a hook blocks the user's prompt, and sh exits 2 by itself when its script is missing: so the line
 * tests first and ends in `exit 0` (seen on 2.1.329 with dash and bash). Clients without CLAUDE_PID run the line as
 * their own child. Between two tool calls only one test runs: is there mail? So when a watched file changed, whoever's:
 * only there exit code 2 is wanted, as the one that wakes the session, and only if the script says that it gave the mail.
 */
function hookLine(setHome: string, event: string, form = '', prepare = ''): string {
  const file = { PostToolBatch: 'mail', FileChanged: WATCHED_FILE }[event]
  const home = file ? `case $MESH_HOME in /*) M=$MESH_HOME ;; *) M=$H ;; esac; ` : ''
  const guard = file ? `[ -e "$M/run/cc-\${CLAUDE_PID:-$PPID}/${file}" ] && ` : ''
  // `exec` spares the sidecar's shell one waiting parent.
  const run = event === 'sidecar' ? 'exec sh' : 'sh'
  const tests = `${guard}[ -r "$S" ]`
  const isWake = event === 'FileChanged'
  const call = `${run} "$S" ${event} "\${CLAUDE_PID:-$PPID}"${form} ${isWake ? '3>&2 ' : ''}2>/dev/null`
  const action = isWake ? `{ ${call}; [ $? = ${WAKE_EXIT} ] && exit 2; }` : call
  return `${setHome}S="$H/hooks/${SCRIPT_NAME}"; ${prepare}${home}${tests} && ${action}; exit 0 ${MARK}`
}

export interface ScriptPaths {
  /** The mesh home when installed; an absolute MESH_HOME overrides it at run time: the client changes directories. */
  home: string
  node: string
  sidecar: string
}

export const scriptName = SCRIPT_NAME

/** The hook script: `claude-code.sh EVENT CLIENT_PID [plugin]`, the event's JSON on standard input. POSIX sh, dash and bash. */
export function hookScript(paths: ScriptPaths): string {
  const values: Record<string, string> = {
    HOME: quoteWord(paths.home),
    NODE: quoteWord(paths.node),
    SIDECAR: quoteWord(paths.sidecar),
    FLAGS: sidecarFlags.join(' '),
    EVENT_BYTES: String(limits.hookEventBytes),
    SPOOL_KIB: String(limits.spoolBytes / 1024),
    ANSWER_STEPS: String(ANSWER_STEPS),
    RUN_ENV: basename(runEnvPath('.')),
    WATCHED: WATCHED_FILE,
    LEFT: LEFT_FILE,
    WAKE_EXIT: String(WAKE_EXIT),
  }
  return SCRIPT.replace(/@([A-Z_]+)@/g, (_, name: string) => values[name]!)
}

const SCRIPT = `#!/bin/sh
# mesh's hooks of Claude Code, made by "mesh install", removed by "mesh uninstall".
# claude-code.sh EVENT CLIENT_PID [plugin], with the event's JSON on standard input.
# Never disturb the session: exit 2 would block the user, so every way out is exit 0.

event=$1 pid=$2 form=\${3:-settings}
case $pid in '' | *[!0-9]*) exit 0 ;; esac
home=@HOME@
case $MESH_HOME in /*) home=$MESH_HOME ;; *) MESH_HOME= ;; esac
[ -d "$home/run" ] || exit 0
dir=$home/run/cc-$pid
node=@NODE@
sidecar=@SIDECAR@
umask 077

# Settings and a plugin may both have mesh's hooks: the first of them in a client's life do all the work. A process id
# comes round, with a directory that was left: the claim is on the process's start.
claim() {
  if read -r start <"/proc/$pid/stat"; then
    set -- \${start##*) }
    start=\${20}
  else
    start=$(ps -o lstart= -p "$pid" | tr -dc 0-9A-Za-z)
  fi
  if [ ! -e "$dir/form-$start" ]; then
    echo "$form" >"$dir/form.$$"
    [ -s "$dir/form.$$" ] && ln "$dir/form.$$" "$dir/form-$start"
    rm -f "$dir/form.$$"
  fi
  # On a full disk there is nothing to read, and nothing that a second one could do.
  first=$form
  read -r first <"$dir/form-$start"
  [ "$first" = "$form" ] || return 1
  echo "$form" >"$dir/form"
  return 0
}

# Drops the event for the sidecar by an atomic rename. A spool over its limit gets a mark instead.
spool() {
  [ -d "$dir/spool" ] || return 1
  set -- "$dir"/spool/*
  if [ $# -gt 3 ]; then
    kib=$(du -sk "$dir/spool")
    if [ "\${kib%%[!0-9]*}" -ge @SPOOL_KIB@ ]; then
      echo "$event" >"$dir/spool/overflow"
      return 1
    fi
  fi
  file=$dir/spool/$event-$$
  head -c @EVENT_BYTES@ >"$file.t" && mv -f "$file.t" "$file.json" && return 0
  rm -f "$file.t"
  return 1
}

# Gives a waiting text to the model. mv decides between takers: exactly one gets it.
give() {
  [ -e "$dir/$1" ] && mv -f "$dir/$1" "$dir/taken-$$" || return 1
  printf '{"hookSpecificOutput":{"hookEventName":"%s","additionalContext":' "$event"
  cat "$dir/taken-$$"
  printf '}}\\n'
}
give_mail() {
  give mail || return 1
  mv -f "$dir/taken-$$" "$dir/spool/MailTaken-$$.json"
  return 0
}

# Wakes an idle session with the waiting mail: the settings line makes the text's way and the exit code.
wake() {
  [ -e "$dir/@WATCHED@" ] && mv -f "$dir/@WATCHED@" "$dir/taken-$$" || return
  cat "$dir/taken-$$" >&3
  mv -f "$dir/taken-$$" "$dir/spool/MailTaken-$$.json"
  exit @WAKE_EXIT@
}

# Tells Bash calls of the session where their sidecar is, and which run they are in once the sidecar has said so. Two
# clients on one conversation share this file.
tell_shells() {
  [ -n "$CLAUDE_ENV_FILE" ] || return
  cat >>"$CLAUDE_ENV_FILE" <<END
export MESH_SESSION="cc-\\\${CLAUDE_PID:-$pid}"
END
  [ -n "$MESH_HOME" ] || cat >>"$CLAUDE_ENV_FILE" <<'END'
export MESH_HOME=@HOME@
END
  cat >>"$CLAUDE_ENV_FILE" <<'END'
if [ -r "$MESH_HOME/run/$MESH_SESSION/@RUN_ENV@" ]; then . "$MESH_HOME/run/$MESH_SESSION/@RUN_ENV@"; fi
END
}

# Waits for the sidecar's answer to this very event and prints it.
answer() {
  reply=$dir/start/SessionStart-$$
  step=0
  while [ $step -lt @ANSWER_STEPS@ ] && [ ! -e "$dir/failed" ]; do
    if [ -e "$reply" ]; then
      cat "$reply"
      rm -f "$reply"
      return
    fi
    sleep 0.02
    step=$((step + 1))
  done
}

# Keeps the sidecar running while the client lives. It exits 0 when it is done. Its standard output is the hook's
# socket: the end of file on it is how it learns of the client's death. Nothing is ever written to it.
keep_sidecar() {
  [ -r "$dir/loop" ] && read -r other <"$dir/loop" && kill -0 "$other" && return
  echo $$ >"$dir/loop"
  rm -f "$dir/client.json"
  unset NODE_EXTRA_CA_CERTS NODE_OPTIONS
  MESH_HOME=$home
  export MESH_HOME
  child= stopping=
  trap 'stopping=1; kill -TERM $child' TERM
  pause=0.2
  while [ -z "$stopping" ] && kill -0 "$pid"; do
    rm -f "$dir/failed"
    begun=$(date +%s)
    "$node" @FLAGS@ "$sidecar" claude-code "$dir" </dev/null &
    child=$!
    outlive && break
    [ -z "$stopping" ] && [ -d "$dir" ] || break
    echo "$code" >"$dir/failed"
    [ $(($(date +%s) - begun)) -lt 60 ] || pause=0.2
    sleep $pause &
    child=$!
    outlive
    case $pause in 0.2) pause=1 ;; 1) pause=3 ;; 3) pause=10 ;; *) pause=30 ;; esac
  done
  rm -f "$dir/loop"
}

# Waits for the child's end. A signal ends "wait" early: wait again.
outlive() {
  wait $child
  code=$?
  while [ $code -gt 128 ] && kill -0 $child; do
    wait $child
    code=$?
  done
  return $code
}

case $event in
SessionStart | sidecar) ;;
*) [ -e "$dir/form" ] && read -r first <"$dir/form" && [ "$first" != "$form" ] && exit 0 ;;
esac

case $event in
SessionStart | sidecar)
  command -v "$node" >/dev/null || node=node
  [ -r "$sidecar" ] && mkdir -p "$dir/spool" "$dir/start" && claim || exit 0
  if [ "$event" = sidecar ]; then
    keep_sidecar
  else
    tell_shells
    spool && answer
  fi
  ;;
PostToolBatch)
  # A subagent's batch names its agent before its calls: the mail is for the session itself.
  batch=$(head -c 16384)
  case \${batch%%'"tool_calls"'*} in *'"agent_id"'*) ;; *) give_mail ;; esac
  ;;
Stop)
  # Mail given here goes on with the turn: the session did not stop. A subagent that stops leaves it.
  if [ -e "$dir/mail" ]; then
    stop=$(head -c @EVENT_BYTES@)
    case $stop in *'"agent_id"'*) ;; *) give_mail && exit 0 ;; esac
    printf '%s' "$stop" | spool
  else
    spool
  fi
  ;;
UserPromptSubmit)
  # A prompt, or whatever else starts a turn, takes the mail along, else what mesh itself has to say.
  spool
  give_mail || { give @LEFT@ && rm -f "$dir/taken-$$"; }
  ;;
FileChanged)
  wake
  ;;
*)
  spool
  ;;
esac
exit 0
`
