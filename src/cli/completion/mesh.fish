# Completion of mesh for fish. In ~/.config/fish/config.fish: mesh completion fish | source
function __mesh_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found (mesh __complete $words[2..-1] "$current" 2>/dev/null </dev/null)
    if test "$found" = :files
        __fish_complete_path "$current"
    else
        string join \n $found
    end
end
complete -c mesh -f -a '(__mesh_complete)'
