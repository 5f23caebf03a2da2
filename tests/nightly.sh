#!/bin/sh
# What is too long for every change, in one go: each target of make, its end, its time. A step that fails does not keep the
# others from running. What each said lies in BUILD/nightly/<target>.log, the summary in BUILD/nightly/summary.
# Usage: tests/nightly.sh BUILD      (make nightly runs this)
#   STEPS="asan tsan"   only these
set -u
build=$1
logs=$build/nightly
mkdir -p "$logs"

# Its words for make. What another change adds to the Makefile under these names is run, too.
arguments() {
    case $1 in
    torture) echo torture KILLS=1000 ;;
    fuzz) echo fuzz SECONDS=600 ;;
    soak) echo soak MINUTES=30 ;;
    starts) echo starts COUNT=500 ;;
    *) echo "$1" ;;
    esac
}

{
    echo "tp $(sed -n 's/^#define TP_VERSION "\(.*\)"/\1/p' base/version.h), commit $(git describe --always --dirty 2>/dev/null || echo unknown), $(date -u '+%Y-%m-%d %H:%M') UTC"
    echo "$(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(${CC:-cc} --version | head -1)"
} | tee "$logs/summary"
failed=0
for step in ${STEPS:-test asan ubsan tsan exhaustive torture scribble valgrind fuzz starts soak}; do
    # shellcheck disable=SC2046 # words
    set -- $(arguments "$step")
    begin=$(date +%s)
    if ! make -n --no-print-directory BUILD="$build" "$step" >/dev/null 2>&1; then
        result="not in this tree"
    elif make --no-print-directory BUILD="$build" "$@" >"$logs/$step.log" 2>&1; then
        result="held: $(tail -1 "$logs/$step.log")"
    else
        result="FAILED: see $logs/$step.log"
        failed=1
    fi
    printf '%-28s %6d s  %s\n' "$*" $(($(date +%s) - begin)) "$result" | tee -a "$logs/summary"
done
exit "$failed"
