#!/bin/sh
# The short form of make asan and make ubsan: both sanitizers in one tree, and the tests that read what comes from outside,
# keep books or run small pipelines.
# Usage: TP_BUILD=build tests/short/sanitizers.sh
build=${TP_BUILD:-build}/sanitizers
cd "$(dirname "$0")/../.." || exit 1
tests=
for test in base board command_line config data drain explain idx idx_damage manifest place plan recording \
    schedule simulate transport versions views; do
    [ ! -e "tests/test_$test.c" ] || tests="$tests $build/tests/test_$test"
done
exec make --no-print-directory BUILD="$build" SANITIZE=address,undefined OPT=-O1 CUDA=0 DOUBLE=0 \
    CK_EXCLUDE_TAGS='exhaustive coroutines long' TESTS="$tests" FUZZERS= SCRIPT_TESTS= check-programs
