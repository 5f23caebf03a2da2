#!/bin/sh
# Runs every test program given and counts: exit 0 passed, 77 skipped, anything else failed. Says how long each took.
#
# Programs that TOGETHER names compute in one process and watch no clock: they come first, as many at once as there are
# cores, each with all it says in one piece. The others come one after the other, as they start programs, wait for them and
# say how long that may take.
# Usage: tests/run.sh BUILD PROGRAM...   (BUILD: where tpcoord and tpstage are)
set -u
export TP_BUILD
# Threads that wait must leave their core to others: on a busy machine spinning ones make the suite crawl.
export OMP_WAIT_POLICY=passive

# Runs one; its result is a line more in the file $results.
run() {
    case $1 in
    */double/tests/*) name="$(basename "$1"), on the double of a GPU" TP_BUILD=${1%/tests/*} ;;
    *) name=$(basename "$1") TP_BUILD=$build ;;
    esac
    begun=$(date +%s)
    echo "== $name"
    "$1"
    case $? in
    0) result=passed ;;
    77) result=skipped ;;
    *) result=FAILED ;;
    esac
    echo "$result: $name, $(($(date +%s) - begun)) s"
    echo "$result $1" >>"$results"
}

count() { grep -c "^$1 " "$results"; }

# This script again, for one program beside others.
if [ "$1" = --beside ]; then
    build=$2 results=$3
    run "$4" >"$results.$$" 2>&1
    flock "$results" cat "$results.$$"
    exit 0
fi

build=$1
shift
folder=$(mktemp -d) results=$folder/results
trap 'rm -rf "$folder"' EXIT
: >"$results"
begun_all=$(date +%s)
for program in "$@"; do
    case " ${TOGETHER:-} " in
    *" $(basename "$program") "*) echo "$program" >>"$folder/together" ;;
    *) echo "$program" >>"$folder/alone" ;;
    esac
done
if [ -e "$folder/together" ]; then
    xargs -n 1 -P "$(nproc)" sh "$0" --beside "$build" "$results" <"$folder/together"
fi
if [ -e "$folder/alone" ]; then
    for program in $(cat "$folder/alone"); do
        run "$program"
    done
fi
sed -n 's/^FAILED //p' "$results"
echo "$(count passed) passed, $(count FAILED) failed, $(count skipped) skipped, $(($(date +%s) - begun_all)) s"
[ "$(wc -l <"$results")" -eq $# ] && [ "$(count FAILED)" -eq 0 ] && [ "$(count passed)" -gt 0 ]
