# What the measurements share; sourced by them, with BUILD as their one argument. Leaves `build` and `root`, and `scratch`, a
# folder that goes when the script ends.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: bench/$(basename "$0") BUILD" >&2
    exit 2
fi
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# Runs a command, after showing it so that anyone can run it again. Leaves its output in $scratch.
run() {
    echo "+ $*"
    "$@" >"$scratch/output" 2>"$scratch/errors"
}

fail() {
    cat "$scratch/output" "$scratch/errors" >&2
    echo "bench: the last command $1" >&2
    exit 1
}

# FILE: the images per second of the epoch in a report.
images_per_second() {
    sed -n 's/^  "images_per_second": \([0-9.]*\).*/\1/p' "$1"
}

# FILE NAME: the first number of that name in JSON.
member() {
    sed -n "s/^ *\"$2\": \([-0-9.e]*\),*\$/\1/p" "$1" | head -n 1
}

# FILE KIND OF: the milliseconds of this kind of op of each part or each stage (OF), joined by commas.
op_ms() {
    awk -v kind="\"$2\":" -v of="\"$3\":" '
        { sub(/,$/, "", $2) }
        $1 == of { item = $2 + 0 }
        $1 == "\"op_ms\":" && item { inside = 1 }
        inside && $1 == kind { ms[item] = $2; last = item > last ? item : last }
        inside && /}/ { inside = item = 0 }
        END { for (k = 1; k <= last; k++) printf "%s%s", (k > 1 ? "," : ""), ms[k] }' "$1"
}

# MS SYSTEM N: times of a backward as the config has them, of a micro-batch: those of this system are of N of them.
of_microbatch() {
    case $2 in
    timeprest | v-timeprest | i-timeprest) echo "$1" | awk -v n="$3" 'BEGIN { RS = ORS = "," } { print $1 / n }' | sed 's/,*$//' ;;
    *) echo "$1" ;;
    esac
}
