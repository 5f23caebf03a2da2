#!/bin/sh
# Starts and stops small runs in a row, each in one of five ways: to its end, interrupted, with its coordinator or a stage
# killed, or by a closed terminal. Then nothing of them is left: no process, no shared memory, no half-written file. Last,
# many runs in one process: it has no more files open later than at first.
# Usage: tests/starts.sh BUILD COUNT
set -eu
build=$1 count=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
uid=$(id -u)
settings="--quiet --set run.output=$work/runs --set model.arch=mlp --set data.set=synthetic --set pipeline.stages=3
    --set train.lr=0.001"

fail() {
    echo "starts: run $i ($way): $*"
    cat "$work/out"
    exit 1
}

# Starts a run and waits until its three stages are there.
start() {
    # shellcheck disable=SC2086 # settings are words
    "$build/tpcoord" /dev/null $settings --set run.name="run-$i" --epochs "$1" --set data.limit=400 >"$work/out" 2>&1 &
    coordinator=$! tries=0 stages=
    until ls /dev/shm/tp-"$uid"-"$coordinator"-* >/dev/null 2>&1 && [ "$(echo "$stages" | wc -w)" -eq 3 ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 3000 ] && kill -0 "$coordinator" 2>/dev/null || fail "does not begin"
        sleep 0.005
        stages=$(cat /proc/$coordinator/task/$coordinator/children)
    done
}

finish() {
    status=0
    wait "$coordinator" 2>/dev/null || status=$?
    [ "$status" -eq "$1" ] || fail "exit status $status instead of $1"
    tries=0
    for pid in $stages; do
        while [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -lt 500 ] || fail "process $pid is left"
            sleep 0.01
        done
    done
    ! ls /dev/shm/tp-"$uid"-"$coordinator"-* 2>/dev/null || fail "shared memory is left"
    [ -z "$(find "$work/runs" -name '*.tmp*')" ] || fail "a half-written file is left"
    rm -rf "$work/runs"
}

i=0
while [ "$i" -lt "$count" ]; do
    i=$((i + 1))
    case $((i % 5)) in
    0) way=finished; start 1; finish 0 ;;
    1) way=interrupted; start 1000; kill -TERM "$coordinator"; finish 3 ;; # what a shell starts with & ignores SIGINT
    2) way="coordinator killed"; start 1000; kill -KILL "$coordinator"; finish 137 ;;
    3) way="stage killed"; start 1000; kill -KILL "$(echo "$stages" | cut -d' ' -f$((i / 5 % 3 + 1)))"; finish 1 ;;
    4) way="terminal closed"; start 1000; kill -HUP "$coordinator"; finish 3 ;;
    esac
done
echo "$count starts and stops: nothing is left"

# shellcheck disable=SC2086
"$build/tpcoord" compare /dev/null $settings --epochs 1 --set data.limit=400 --systems timeprest,gpipe \
    --seeds "$(seq -s, 20)" >"$work/out" 2>&1 &
coordinator=$!
while kill -0 "$coordinator" 2>/dev/null; do
    ls /proc/$coordinator/fd 2>/dev/null | wc -l
    sleep 0.01
done >"$work/files"
wait "$coordinator"
awk '{ files[NR] = $1 }
     END {
         for (n = 1; n <= NR; n++) if (files[n] > most[n > NR / 2]) most[n > NR / 2] = files[n]
         printf "40 runs in one process: at most %d files open in the first half, %d in the second\n", most[0], most[1]
         exit NR < 2 || most[1] > most[0]
     }' "$work/files"
