# Completion of mesh for bash. In ~/.bashrc: eval "$(mesh completion bash)"
_mesh() {
  local line=${COMP_LINE:0:COMP_POINT}
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local current=${words[${#words[@]} - 1]}
  local found
  found=$(mesh __complete "${words[@]:1}" 2>/dev/null </dev/null | cut -f 1)
  local IFS=$'\n'
  if [[ $found == :files ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$current"))
    return
  fi
  COMPREPLY=($found)
  # bash breaks words at colons: it wants what follows the last one.
  if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
  fi
}
complete -F _mesh mesh
