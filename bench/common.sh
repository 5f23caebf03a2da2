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
