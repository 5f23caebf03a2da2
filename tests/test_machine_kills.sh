#!/bin/sh
# Runs on two hosts of which something is killed, or cut off, at a random time: each ends within 30 s with a line that says why,
# leaves nothing on any host, and goes on from its newest checkpoint to the weights of a run on one machine.
# Usage: TP_BUILD=build KILLS=100 SEED=1 tests/test_machine_kills.sh (make hosts)
set -u
cd "$(dirname "$0")/.." && . tests/machines.sh
machines_begin 2 tests/test_machine_kills.sh

epochs=8 last=epoch-0008
new one $epochs
done_well "a run on one machine"

echo "${KILLS:=10} kills, SEED=${SEED:=1}"
awk -v kills="$KILLS" -v seed="$SEED" 'BEGIN {
    count = split("b:tpstage a:tpstage b:tpnode a:tpnode a:mpirun b:orted a:tpcoord b:cut", whom, " ")
    srand(seed)
    for (k = 1; k <= kills; k++) printf "%s %.3f\n", whom[1 + int(rand() * count)], 2.5 * rand()
}' >"$work/kills"
while read -r whom seconds; do
    new "kill" $epochs --hosts a:1,b:2
    what="$whom after $seconds s"
    sleep "$seconds"
    case $whom in
    *:cut) "$hosts" --cut "${whom%:*}" ;;
    *) victim=$(find_on "${whom%:*}" "${whom#*:}" | head -1) && [ -n "$victim" ] && kill -KILL "$victim" ;;
    esac
    begun=$(date +%s%N)
    for _ in $(seq 300); do
        kill -0 $coordinator 2>/dev/null || break
        sleep 0.1
    done
    kill -0 $coordinator 2>/dev/null && wrong "$what: it ends within 30 s"
    wait $coordinator 2>/dev/null
    status=$?
    took=$((($(date +%s%N) - begun) / 1000000))
    said=$(grep '^tpcoord: ' "$work/$run.out" | tail -1)
    [ $status -ne 1 ] || [ -n "$said" ] || wrong "$what: it says why"
    [ "${whom#*:}" != cut ] || "$hosts" --mend "${whom%:*}"
    nothing_is_left "$what"
    echo "$what: status $status, $took ms: $said"
    [ ! -e "$work/$run/checkpoints/epoch-0001/manifest.json" ] || goes_on
done <"$work/kills"
machines_end
