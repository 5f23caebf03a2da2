#!/bin/sh
# What watching costs: a run of configs/resnet.ini with a monitor beside it and one without take turns, and the ratio of
# their images/s counts, pair by pair, so that a machine whose speed drifts favours nobody; and the processor time that
# the monitor takes. The monitor draws on a terminal of 120 x 40.
#
# Usage: bench/monitor.sh BUILD   (BUILD: where tpcoord, tpstage and tpmon are)
#   ROUNDS=5         pairs of runs
#   IMAGES=25600     to train on in each run
#   VIEW=schedule    that the monitor shows
export LC_ALL=C.UTF-8 TERM=xterm-256color
. "$(dirname "$0")/common.sh"
rounds=${ROUNDS:-5}
images=${IMAGES:-25600}
view=${VIEW:-schedule}

# Prints the run's images/s.
train() {
    "$build/tpcoord" run "$root/configs/resnet.ini" --quiet --json - --epochs 1 --set "run.output=$scratch" \
        --set "run.name=$1" --set "data.limit=$images" >"$scratch/report" 2>"$scratch/errors" || {
        cat "$scratch/errors" >&2
        exit 1
    }
    images_per_second "$scratch/report"
}

# Percent of one core that a process has taken since it began.
share() {
    awk -v ticks="$(getconf CLK_TCK)" -v up="$(cut -d ' ' -f 1 /proc/uptime)" '
        { sub(/.*\) /, ""); printf "%.2f", 100 * ($12 + $13) / (up * ticks - $20) }' "/proc/$1/stat"
}

alone() {
    train "alone-$1" >"$scratch/alone"
}

# The monitor waits for its run, and stays when it has ended.
watched() {
    script -qec "stty rows 40 columns 120; echo \$\$ >$scratch/pid; exec $build/tpmon --view $view $scratch/watched-$1" \
        /dev/null </dev/null >/dev/null &
    terminal=$!
    train "watched-$1" >"$scratch/watched"
    monitor=$(cat "$scratch/pid")
    share "$monitor" >"$scratch/share"
    kill "$monitor"
    wait "$terminal"
}

for i in $(seq "$rounds"); do
    if [ $((i % 2)) -eq 1 ]; then
        alone "$i"
        watched "$i"
    else
        watched "$i"
        alone "$i"
    fi
    echo "$(cat "$scratch/alone") $(cat "$scratch/watched") $(cat "$scratch/share")" >>"$scratch/figures"
    awk -v round="$i" 'END { printf "round %d: %.0f images/s alone, %.0f watched (%.1f%%); the monitor takes %.2f%% of a core\n", \
        round, $1, $2, 100 * $2 / $1, $3 }' "$scratch/figures"
done
awk '
    function median(list, n) {
        return (list[int((n + 1) / 2)] + list[int(n / 2) + 1]) / 2
    }
    function sort(list, n,    i, j, x) {
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
                x = list[j]; list[j] = list[j - 1]; list[j - 1] = x
            }
    }
    { ratio[NR] = 100 * $2 / $1; share[NR] = $3 }
    END {
        sort(ratio, NR); sort(share, NR)
        printf "median: watched runs have %.1f%% of the images/s of those alone (%.1f%% to %.1f%%); ", \
            median(ratio, NR), ratio[1], ratio[NR]
        printf "the monitor takes %.2f%% of a core\n", median(share, NR)
    }' "$scratch/figures"
