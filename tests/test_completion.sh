#!/bin/sh
# The completion files ask the programs: what they offer is what `tpcoord complete` and `tpmon --help` say, in bash and,
# where there is one, in zsh. What those say is tested in tests/test_help.c.
# Usage: TP_BUILD=build tests/test_completion.sh
set -u
build=$(cd "${TP_BUILD:-build}" && pwd) && cd "$(dirname "$0")/.." || exit 1
checks=0 failures=0

# What a shell offers for a command line up to the cursor, in one line.
bash_offers() {
    # shellcheck disable=SC2016
    bash --norc -c '
        compopt() { printf "+"; }
        source completion/tpcoord.bash
        COMP_LINE=$2 COMP_POINT=${#2}
        read -ra words <<<"$2"
        [[ $2 == *" " ]] && words+=("")
        complete -p "${words[0]}" >/dev/null || exit 1
        "_${words[0]}" "$1/${words[0]}" "${words[-1]}" ""
        echo "${COMPREPLY[@]}"' bash "$build" "$1" 2>&1
}

zsh_offers() {
    # shellcheck disable=SC2016
    zsh -f -c '
        compadd() { local -a offered=("${(@)@[$@[(i)--]+1,-1]}"); [[ $1 == -S ]] && print -n -- "+"; print -n -- "$offered " }
        _files() { print -n "files " }
        words=("${(@s. .)2}") CURRENT=${#words} PREFIX=${words[-1]}
        words[1]=$1/$words[1]
        source completion/_tpcoord' zsh "$build" "$1" 2>&1 | sed 's/ *$//'
}

# expect SHELL LINE OFFERED
expect() {
    offered=$("$1_offers" "$2")
    checks=$((checks + 1))
    if [ "$offered" != "$3" ]; then
        echo "$1 offers for \"$2\": $offered"
        echo "and not: $3"
        failures=$((failures + 1))
    fi
}

commands=$("$build/tpcoord" complete '' | tr '\n' ' ' | sed 's/ *$//')
options=$("$build/tpmon" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | tr '\n' ' ' | sed 's/ *$//')

expect bash 'tpcoord ' "$commands"
expect bash 'tpcoord pla' plan
expect bash 'tpcoord plan --gr' --grid
expect bash 'tpcoord plan x.ini --set pipeline.sys' '+pipeline.system='
# bash completes what is behind the "=".
expect bash 'tpcoord plan x.ini --set pipeline.system=gp' gpipe
expect bash 'tpcoord compare x.ini --systems timeprest,gp' timeprest,gpipe
expect bash 'tpcoord plan conf' ''
expect bash 'tpmon --' "$options"
expect bash 'tpmon --rep' --replay
if command -v zsh >/dev/null; then
    expect zsh 'tpcoord ' "$commands"
    expect zsh 'tpcoord plan --gr' --grid
    expect zsh 'tpcoord plan x.ini --set pipeline.sys' '+pipeline.system='
    expect zsh 'tpcoord plan x.ini --set pipeline.system=gp' pipeline.system=gpipe
    expect zsh 'tpcoord plan conf' files
    expect zsh 'tpmon --rep' '--list --replay --view --once --at --svg --pdf --png --span --versions --trace --width --height --no-mouse --ascii --help --version'
fi
echo "$checks completions, $failures wrong"
[ "$failures" -eq 0 ] && [ "$checks" -ge 9 ]
