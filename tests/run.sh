#!/bin/sh
# Runs every test program given and counts: exit 0 passed, 77 skipped, anything else failed.
# Usage: tests/run.sh BUILD PROGRAM...   (BUILD: where tpcoord and tpstage are)
set -u
build=$1
export TP_BUILD
# Threads that wait must leave their core to others: on a busy machine spinning ones make the suite crawl.
export OMP_WAIT_POLICY=passive
shift
passed=0 failed=0 skipped=0
for program in "$@"; do
    case $program in
    */double/tests/*) name="$(basename "$program"), on the double of a GPU" TP_BUILD=${program%/tests/*} ;;
    *) name=$(basename "$program") TP_BUILD=$build ;;
    esac
    echo "== $name"
    "$program"
    case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *)
        failed=$((failed + 1))
        echo "FAILED: $program"
        ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
