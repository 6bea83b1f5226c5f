#compdef mesh
# Completion of mesh for zsh. In ~/.zshrc, after compinit: eval "$(mesh completion zsh)"
_mesh() {
  local line tab=$'\t'
  local -a found
  for line in ${(f)"$(mesh __complete "${(@)words[2,CURRENT]}" 2>/dev/null </dev/null)"}; do
    if [[ $line == :files ]]; then
      _files
      return
    fi
    found+=("${${line%%$tab*}//:/\\:}:${line#*$tab}")
  done
  _describe mesh found
}
# From a folder of $fpath it is called as a function, else it is made known.
if [[ ${funcstack[1]-} == _mesh ]]; then
  _mesh "$@"
else
  compdef _mesh mesh
fi
