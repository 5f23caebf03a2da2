#!/bin/sh
# Every seed goes through its fuzz target: tests/fuzz/seeds/<target>/*.
# Usage: TP_BUILD=build tests/test_fuzz.sh
set -u
build=$(cd "${TP_BUILD:-build}" && pwd) && cd "$(dirname "$0")" || exit 1
failures=0 targets=0
for source in fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    echo "$target"
    "$build/tests/fuzz/$target" "fuzz/seeds/${target#fuzz_}"/* || failures=$((failures + 1))
    targets=$((targets + 1))
done
echo "$targets targets, $failures failed"
[ "$failures" -eq 0 ] && [ "$targets" -gt 0 ]
