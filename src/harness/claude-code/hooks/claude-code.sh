#!/bin/sh
# mesh's hooks of Claude Code, made by "mesh install", removed by "mesh uninstall".
# claude-code.sh EVENT CLIENT_PID [plugin], with the event's JSON on standard input.
# Never disturb the session: exit 2 would block the user, so every way out is exit 0.
# POSIX sh: dash, bash (3.2 too, as macOS has it), zsh and busybox run it as their sh.

# bash takes options from an exported SHELLOPTS.
set +euvxC
event=$1 pid=$2 form=${3:-settings}
case $pid in '' | *[!0-9]*) exit 0 ;; esac
home=@HOME@
case $MESH_HOME in /*) home=$MESH_HOME ;; *) MESH_HOME= ;; esac
[ -d "$home/run" ] || exit 0
dir=$home/run/cc-$pid
node=@NODE@
sidecar=@SIDECAR@
spool_kib=@SPOOL_KIB@
answer_steps=@ANSWER_STEPS@
wake_exit=@WAKE_EXIT@
umask 077

# Settings and a plugin may both have mesh's hooks: the form that comes first in a client's life does all the work. A
# process id is used again, and a directory may be left over from it: so the claim names the process's start as well.
claim() {
  if read -r start <"/proc/$pid/stat"; then
    # shellcheck disable=SC2086 # the fields are to be split
    set -- ${start##*) }
    start=${20}
  else
    start=$(ps -o lstart= -p "$pid" | tr -dc 0-9A-Za-z)
  fi
  if [ ! -e "$dir/form-$start" ]; then
    echo "$form" >"$dir/form.$$"
    [ -s "$dir/form.$$" ] && ln "$dir/form.$$" "$dir/form-$start"
    rm -f "$dir/form.$$"
  fi
  # A full disk leaves nothing to read, and nothing that a second form could do.
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
    if [ "${kib%%[!0-9]*}" -ge "$spool_kib" ]; then
      echo "$event" >"$dir/spool/overflow"
      return 1
    fi
  fi
  file=$dir/spool/$event-$$
  head -c @EVENT_BYTES@ >"$file.t" && mv -f "$file.t" "$file.json" && return 0
  rm -f "$file.t"
  return 1
}

# Gives a waiting text to the model. mv decides between takers: exactly one gets it. It is a JSON string: what a full or
# broken disk left of one is no text.
give() {
  [ -e "$dir/$1" ] && mv -f "$dir/$1" "$dir/taken-$$" || return 1
  case $(head -c 1 "$dir/taken-$$")$(tail -c 1 "$dir/taken-$$") in
  '""') ;;
  *)
    rm -f "$dir/taken-$$"
    return 1
    ;;
  esac
  printf '{"hookSpecificOutput":{"hookEventName":"%s","additionalContext":' "$event"
  cat "$dir/taken-$$"
  printf '}}\n'
}
give_mail() {
  give mail || return 1
  mv -f "$dir/taken-$$" "$dir/spool/MailTaken-$$.json"
  return 0
}

# Wakes an idle session with the waiting mail: the settings line passes on the text and the exit code.
wake() {
  [ -s "$dir/@WATCHED@" ] && mv -f "$dir/@WATCHED@" "$dir/taken-$$" || return
  cat "$dir/taken-$$" >&3
  mv -f "$dir/taken-$$" "$dir/spool/MailTaken-$$.json"
  exit "$wake_exit"
}

# Lets Bash calls of the session find their sidecar, and the run they are in once the sidecar has written that down. Two
# clients in one conversation share this file.
export_to_shells() {
  [ -n "$CLAUDE_ENV_FILE" ] || return
  cat >>"$CLAUDE_ENV_FILE" <<END
export MESH_SESSION="cc-\${CLAUDE_PID:-$pid}"
export MESH_SPACE="$(readlink /proc/self/ns/pid)"
END
  [ -n "$MESH_HOME" ] || cat >>"$CLAUDE_ENV_FILE" <<'END'
export MESH_HOME=@HOME@
END
  cat >>"$CLAUDE_ENV_FILE" <<'END'
if [ -r "$MESH_HOME/run/$MESH_SESSION/@RUN_ENV@" ]; then . "$MESH_HOME/run/$MESH_SESSION/@RUN_ENV@"; fi
END
}

# Finds a Node besides those that were tried: the one of the install, that of PATH, one of the places where they usually are.
find_node() {
  for node in "$installed_node" "$(command -v node)" /usr/local/bin/node /opt/homebrew/bin/node /usr/bin/node \
    "$HOME/.volta/bin/node" "$HOME/.asdf/shims/node" "$HOME/.local/share/mise/shims/node" \
    "$HOME/.local/share/fnm/aliases/default/bin/node" "$HOME"/.nvm/versions/node/*/bin/node; do
    case $tried in *":$node:"*) continue ;; esac
    [ -f "$node" ] && [ -x "$node" ] && return 0
  done
  return 1
}

# Makes a text fit the inside of a JSON string: without controls, quotes and backslashes.
plain() {
  tr '\000-\037\042\134' ' ' | cut -c 1-300
}

# Prints why the sidecar did not start, as the inside of a JSON string: the message of its own error, else its last words.
reason() {
  words=$(sed -n 's/^{"error":{"code":"[a-z_]*","message":"\(.*\)","hint":".*/\1/p' "$dir/stderr" | tail -n 1)
  [ -n "$words" ] || words=$(grep -E 'Error|Fatal|bad option|No such file|not found' "$dir/stderr" | tail -n 1)
  [ -n "$words" ] || words=$(grep -v -e '^Warning: disabling flag' -e '^[[:space:]]*$' "$dir/stderr" | tail -n 1)
  [ -n "$words" ] || words="its sidecar exits with $1 at its start"
  printf '%s' "$words" | plain
}

# Tells the user, once in a client's life, that this session did not join. The text is the inside of a JSON string.
tell() {
  [ "$event" = SessionStart ] && [ ! -e "$dir/told" ] || return
  [ ! -d "$dir" ] || : >"$dir/told"
  printf '{"systemMessage":"mesh: this session did not join: %s (mesh doctor says more)"}\n' "$1"
}

# Keeps a failed start where mesh doctor looks, in the form of the sidecar's own log.
log_failure() {
  mkdir -p "$home/logs"
  printf '{"level":60,"time":"%s","error":"%s","msg":"not started"}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    "$(reason "$1")" >>"$home/logs/cc-$pid.log"
}

# Waits for the sidecar's answer to this very event and prints it.
answer() {
  reply=$dir/start/SessionStart-$$
  step=0
  while [ "$step" -lt "$answer_steps" ] && [ ! -e "$dir/failed" ]; do
    if [ -e "$reply" ]; then
      cat "$reply"
      rm -f "$reply"
      return
    fi
    # It is usually there after a tenth of a second.
    if [ "$step" -lt 60 ]; then sleep 0.004; else sleep 0.02; fi
    step=$((step + 1))
  done
  [ -r "$dir/failed" ] && read -r code <"$dir/failed" && tell "$(reason "$code")"
}

# Keeps the sidecar running while the client lives. It exits 0 when it is done. Its standard output is the hook's
# socket: the end of file on it is how it learns of the client's death. Nothing is ever written to it.
keep_sidecar() {
  [ -r "$dir/loop" ] && read -r other <"$dir/loop" && [ "$other" != $$ ] && kill -0 "$other" && return
  echo $$ >"$dir/loop"
  [ "$event" = revive ] || rm -f "$dir/client.json"
  unset NODE_EXTRA_CA_CERTS NODE_OPTIONS
  MESH_HOME=$home
  export MESH_HOME
  set -- @FLAGS@
  child=
  stopping=
  trap 'stopping=1; kill -TERM $child' TERM
  pause=0.2
  installed_node=$node
  tried=:
  while [ -z "$stopping" ] && kill -0 "$pid"; do
    rm -f "$dir/failed"
    begun=$(date +%s)
    # On a full disk the sidecar starts all the same: its last words are lost.
    last_words=/dev/null
    (: >"$dir/stderr") && last_words=$dir/stderr
    # Another install may have written this script anew.
    [ -r "$sidecar" ] || exec sh "$home/hooks/@SCRIPT@" sidecar "$pid" "$form"
    if find_node; then
      "$node" "$@" "$sidecar" claude-code "$dir" </dev/null 2>"$last_words" &
      child=$!
      outlive && break
      [ -z "$stopping" ] || break
      [ -d "$dir" ] || break
      # A Node that does not know the flags starts without them.
      if [ $code = 9 ] && [ $# -gt 0 ]; then
        set --
        continue
      fi
      set -- @FLAGS@
      # A Node that failed at once may be broken, or too old: the next one.
      if [ $(($(date +%s) - begun)) -lt 5 ]; then
        tried=$tried$node:
        find_node && continue
      fi
      tried=:
    else
      code=127
      echo 'no Node was found: run mesh install with one that stays' >"$last_words"
    fi
    echo "$code" >"$dir/failed"
    log_failure "$code"
    [ $(($(date +%s) - begun)) -lt 60 ] || pause=0.2
    sleep $pause &
    child=$!
    outlive
    case $pause in 0.2) pause=1 ;; 1) pause=3 ;; 3) pause=10 ;; *) pause=30 ;; esac
  done
  read -r other <"$dir/loop" && [ "$other" = $$ ] && rm -f "$dir/loop"
}

# A dead process that nobody has waited for yet, as in a container without init, takes signals like a living one.
lives() {
  kill -0 "$1" || return 1
  read -r state <"/proc/$1/stat" || return 0
  case ${state##*) } in Z*) return 1 ;; esac
  return 0
}

# Starts the sidecar again in a session whose loop was killed and left its file; one that ended by itself removed it. A
# sidecar that outlives its loop still serves.
revive() {
  [ -r "$dir/loop" ] && read -r other <"$dir/loop" || return
  lives "$other" && return
  owner=
  [ -r "$dir/lock" ] && read -r owner <"$dir/lock"
  owner=${owner#*'"pid":'}
  owner=${owner%%[!0-9]*}
  [ -n "$owner" ] && lives "$owner" && return
  [ -r "$sidecar" ] || return
  # Not as part of a list: its subshell would keep the hook's output open.
  sh "$0" revive "$pid" "$form" </dev/null >/dev/null 2>&1 &
}

# Waits for the child's end. A signal ends "wait" early: wait again.
outlive() {
  wait "$child"
  code=$?
  while [ $code -gt 128 ] && kill -0 "$child"; do
    wait "$child"
    code=$?
  done
  return $code
}

case $event in
SessionStart | sidecar | revive) ;;
*) [ -e "$dir/form" ] && read -r first <"$dir/form" && [ "$first" != "$form" ] && exit 0 ;;
esac

case $event in
SessionStart | sidecar)
  if ! mkdir -p "$dir/spool" "$dir/start"; then
    tell "$(printf '%s' "$dir" | plain) cannot be made"
    exit 0
  fi
  if [ ! -r "$sidecar" ]; then
    tell 'its program is gone; run mesh install again, or mesh uninstall'
    exit 0
  fi
  claim || exit 0
  if [ "$event" = sidecar ]; then
    keep_sidecar
  else
    export_to_shells
    spool && answer
  fi
  ;;
revive)
  command -v "$node" >/dev/null || node=node
  keep_sidecar
  ;;
PostToolBatch)
  # A subagent's batch names its agent before its calls: the mail is for the session itself.
  batch=$(head -c 16384)
  case ${batch%%'"tool_calls"'*} in *'"agent_id"'*) ;; *) give_mail ;; esac
  ;;
Stop)
  revive
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
  revive
  give_mail || { give @LEFT@ && rm -f "$dir/taken-$$"; }
  ;;
FileChanged)
  wake
  ;;
CwdChanged)
  # The client forgets what it watches when its directory changes.
  [ -s "$dir/@WATCH_PATHS@" ] || exit 0
  printf '{"hookSpecificOutput":{"hookEventName":"CwdChanged","watchPaths":'
  cat "$dir/@WATCH_PATHS@"
  printf '}}\n'
  ;;
*)
  spool
  ;;
esac
exit 0
