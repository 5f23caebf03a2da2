# bash completion for tpcoord and tpmon. tpcoord itself knows what may follow (tpcoord complete), and tpmon's --help its
# options, so that this file knows nothing that could be out of date.

_tpcoord() {
    local word=${COMP_LINE:0:COMP_POINT} words candidate stem
    # Not COMP_WORDS: bash breaks "--set key=value" at the "=".
    read -ra words <<<"$word"
    [[ $word == *[[:blank:]] ]] && words+=('')
    word=${words[-1]}
    stem=${word%"${word##*=}"}
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ $COMP_WORDBREAKS == *=* ]] && candidate=${candidate#"$stem"}
        COMPREPLY+=("$candidate")
    done < <("$1" complete "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}

_tpmon() {
    local options
    options=$("$1" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
    COMPREPLY=()
    [[ $2 == -* ]] && mapfile -t COMPREPLY < <(compgen -W "$options" -- "$2")
    return 0
}

# Where they have nothing to say: files.
complete -o default -F _tpcoord tpcoord
complete -o default -F _tpmon tpmon
