#!/bin/sh
# Machines change no number: with static order the weights of a run on two and three hosts, which tests/hosts.sh makes, with one
# and two stages each, are those of a run on one machine, bit for bit, for every system. With dynamic order it runs.
# Usage: TP_BUILD=build tests/test_machine_systems.sh     LONG=yes: all systems and shapes (make hosts); SYSTEMS, SHAPES: these
set -u
cd "$(dirname "$0")/.." && . tests/machines.sh
machines_begin 3 tests/test_machine_systems.sh

# The short form: one without a flush, one whose parts go round all machines, one whose parts go to the last and back.
systems="timeprest interleaved-1f1b zb-v" shapes=b:2
if [ -n "${LONG:-}" ]; then
    systems=$("$build/tpcoord" systems | awk 'NR > 1 && !NF { exit } NR > 1 { print $1 }')
    shapes="b:1 b:2 c:1 c:2"
fi
systems=${SYSTEMS:-$systems} shapes=${SHAPES:-$shapes} runs=0

trains_on() { # RUN WORD...
    run=$1
    shift
    # shellcheck disable=SC2086 # they are words
    new "$run" 1 $pipeline --set data.limit=320 --set model.depth=14 --set model.width=32 "$@"
    done_well "$system with $stages stages: $run"
    runs=$((runs + 1))
}

# The last host of those that are used, and stages on each.
for shape in $shapes; do
    each=${shape#*:}
    where=a:$each,b:$each count=2
    [ "${shape%:*}" = b ] || { where=$where,c:$each count=3; }
    stages=$((count * each))
    for system in $systems; do
        # Twice as many micro-batches as there are stages suit every order but those of whole mini-batches.
        microbatches=$((2 * stages))
        "$build/tpcoord" systems | grep -Eq "^$system +(1F1B|sequential) " && microbatches=1
        pipeline="--set pipeline.system=$system --set pipeline.stages=$stages --set pipeline.microbatches=$microbatches"
        trains_on one
        trains_on several --hosts "$where"
        [ "$(weights several epoch-0001)" = "$(weights one epoch-0001)" ] ||
            wrong "$system on $where: the weights of one machine"
        [ "$shape" != b:2 ] || trains_on dynamic --set pipeline.order=dynamic --hosts "$where"
    done
done
echo "$runs runs of $(echo "$systems" | wc -w) systems; last host, and stages on each: $shapes"
machines_end
