#!/bin/sh
# Fuzzes every target, one after the other, from its seeds. What is found lies in BUILD/fuzz/<target>/; a finding ends
# the run and becomes a seed.
# Usage: tests/fuzz/run.sh BUILD SECONDS [TARGET...]
set -eu
build=$1 seconds=$2
shift 2
seeds=$(dirname "$0")/seeds
[ $# -gt 0 ] || set -- $(cd "$(dirname "$0")" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
for target in "$@"; do
    work=$build/findings/$target
    mkdir -p "$work/corpus"
    echo "== $target, $seconds s"
    "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work/corpus" "$seeds/$target" >"$work/log" 2>&1 ||
        { tail -40 "$work/log"; exit 1; }
    grep -E 'DONE|number_of_executed_units|average_exec' "$work/log"
done
