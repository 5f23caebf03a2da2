#!/bin/sh
# Trains for a while and watches what every process holds: memory of its own (what is shared has one size) and open files.
# Both must be flat: the most in the last quarter of the time is not above the most in the second quarter by more than 1 %
# and 256 KiB. The results of an epoch are written again with every checkpoint, and take the coordinator about 1 KiB: so that
# this is not what is seen to grow, epochs are long.
# Usage: tests/soak.sh BUILD MINUTES [SECTION.KEY=VALUE...]
set -eu
build=$1 minutes=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

set -- "$build/tpcoord" /dev/null --quiet --epochs 1000 --set run.output="$work" --set run.name=soak \
    --set model.arch=resnet8 --set data.set=synthetic --set data.limit=20000 --set train.lr=0.001 \
    $(for setting in "$@"; do echo "--set $setting"; done)
"$@" >"$work/out" 2>&1 &
coordinator=$!

# "seconds process KiB files" for the coordinator and its stages.
sample() {
    for pid in $coordinator $(cat /proc/$coordinator/task/$coordinator/children); do
        memory=$(awk '/^RssAnon/ { print $2 }' /proc/"$pid"/status)
        files=$(ls /proc/"$pid"/fd | wc -l)
        echo "$1 $(tr '\0' ' ' </proc/"$pid"/cmdline | awk '{ print $1 ~ /tpstage$/ ? "stage-" $3 : "coordinator" }') $memory $files"
    done
}

samples=60 taken=0
while [ "$taken" -lt "$samples" ]; do
    sleep "$(echo "$minutes $samples" | awk '{ print 60 * $1 / $2 }')"
    taken=$((taken + 1))
    kill -0 "$coordinator" 2>/dev/null || { cat "$work/out"; echo "soak: the run ended by itself"; exit 1; }
    sample "$(echo "$taken $minutes $samples" | awk '{ print int(60 * $2 / $3 * $1) }')" >>"$work/samples"
done
kill -TERM "$coordinator" # what a shell starts with & ignores SIGINT
status=0
wait "$coordinator" || status=$?
[ "$status" -eq 3 ] || { cat "$work/out"; echo "soak: exit status $status after an interruption"; exit 1; }

awk -v samples="$samples" '
    { n = ++count[$2]; memory[$2, n] = $3; files[$2, n] = $4; time[n] = $1; if (n == 1) order[++processes] = $2 }
    function most(table, process, first, last,    k, result) {
        for (k = first; k <= last; k++)
            if (table[process, k] > result) result = table[process, k]
        return result
    }
    END {
        printf "%8s", "seconds"
        for (p = 1; p <= processes; p++) printf " %18s", order[p]
        print ""
        for (n = 5; n <= samples; n += 5) {
            printf "%8d", time[n]
            for (p = 1; p <= processes; p++) printf " %8d KiB %2d fds", memory[order[p], n], files[order[p], n]
            print ""
        }
        for (p = 1; p <= processes; p++) {
            early = most(memory, order[p], samples / 4, samples / 2); late = most(memory, order[p], samples * 3 / 4, samples)
            growing = late > early * 1.01 + 256 || most(files, order[p], samples * 3 / 4, samples) > most(files, order[p], samples / 4, samples / 2)
            printf "%s: %d KiB, then %d KiB: %s\n", order[p], early, late, growing ? "GROWS" : "flat"
            failures += growing
        }
        exit failures > 0 || processes < 2
    }' "$work/samples"
grep finished "$work/out" || grep interrupted "$work/out"
