#!/bin/sh
# Fuzzes targets from their seeds, as many at once as there are cores. What is found lies in BUILD/findings/<target>/; a
# finding becomes a seed.
# Usage: tests/fuzz/run.sh BUILD SECONDS [TARGET...]
set -eu
build=$1 seconds=$2
shift 2
seeds=$(dirname "$0")/seeds
[ $# -gt 0 ] || set -- $(cd "$(dirname "$0")" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')

# One target; all it says at once, so that targets do not mix.
fuzz() {
    target=$1 work=$build/findings/$1
    mkdir -p "$work/corpus"
    if "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work/corpus" "$seeds/$target" >"$work/log" 2>&1; then
        echo "== $target, $seconds s: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs, nothing found"
    else
        echo "== $target: FOUND
$(tail -40 "$work/log")"
        return 1
    fi
}

failed=0
while [ $# -gt 0 ]; do
    running=
    for core in $(seq "$(nproc)"); do
        [ $# -gt 0 ] || break
        fuzz "$1" &
        running="$running $!"
        shift
    done
    for pid in $running; do
        wait "$pid" || failed=1
    done
done
exit "$failed"
