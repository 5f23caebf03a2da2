#!/bin/sh
# Everything compiles with clang, and tests that depend on what a compiler makes of numbers, atomics and structs pass.
# Usage: TP_BUILD=build tests/short/clang.sh
build=${TP_BUILD:-build}/clang
cd "$(dirname "$0")/../.." || exit 1
command -v clang >/dev/null || { echo "skipped: there is no clang"; exit 77; }
make --no-print-directory -j"$(nproc)" BUILD="$build" CC=clang OPT=-O1 CUDA=0 test-programs || exit 1
tests=
for test in base config network plan recording schedule transport; do
    tests="$tests $build/tests/test_$test"
done
exec make --no-print-directory BUILD="$build" CC=clang OPT=-O1 CUDA=0 TESTS="$tests" SCRIPT_TESTS= check-programs
