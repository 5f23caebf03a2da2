#!/bin/sh
# How well does tpcoord plan --simulate know what a run will do? Trains each system for one short epoch in two stages,
# gives the simulation the mean times of the ops that this very run measured, and compares seconds per epoch and version
# differences. Mean times leave out that ops vary: who waits for two waits for the later one.
#
# The last column uses the times of the layers as measured one by one, all that is known before a run. They miss what
# stages do to each other when they share caches, memory and cores.
#
# Usage: bench/prediction.sh BUILD   (BUILD: where tpcoord and tpstage are)
#   SYSTEMS="timeprest gpipe zb-h1"
#   ORDER=dynamic
#   STAGES=2
#   IMAGES=6400      to train on in each
export LC_ALL=C
. "$(dirname "$0")/common.sh"
systems=${SYSTEMS:-timeprest v-timeprest i-timeprest pipedream stale gpipe 1f1b zb-h1 interleaved-1f1b}
order=${ORDER:-dynamic}
stages=${STAGES:-2}
images=${IMAGES:-6400}

# VERB JSON OPTION...: runs tpcoord on the system at hand.
tpcoord() {
    verb=$1 json=$2
    shift 2
    "$build/tpcoord" "$verb" "$root/configs/resnet.ini" --json "$json" --epochs 1 --set "run.output=$scratch" \
        --set "pipeline.system=$system" --set "pipeline.order=$order" --set "pipeline.stages=$stages" \
        --set "pipeline.microbatches=$microbatches" --set "pipeline.parts=$parts" \
        --set "pipeline.placement=$placement" --set "data.limit=$images" "$@" >"$scratch/output" 2>&1 || {
        cat "$scratch/output" >&2
        exit 1
    }
}

# FILE NAME: "median (min to max)" of the first object of that name that has these.
differences() {
    awk -v name="\"$2\":" '
        $1 == name { inside = 1 }
        inside && /"(min|median|max)":/ { key = $1; gsub(/[^a-z]/, "", key); sub(/,$/, "", $2); value[key] = $2 }
        inside && /}/ { if ("median" in value) exit; inside = 0 }
        END { printf "%s (%s to %s)", value["median"], value["min"], value["max"] }' "$scratch/$1"
}

printf '%-16s %2s %2s  %9s %10s %6s   %-14s %-14s  %s\n' system W N "s/epoch" predicted ratio \
    "v measured" "v predicted" "ratio by layers"
for system in $systems; do
    microbatches=3 parts=1 placement=loop
    case $("$build/tpcoord" systems | awk -v name="$system" '$1 == name { print $2 }') in
        1F1B | sequential) microbatches=1 ;;
        interleaved-1F1B | breadth-first) microbatches=$((2 * stages)) parts=2 ;;
        ZB-V | DualPipeV) microbatches=$((2 * stages)) parts=2 placement=v ;;
    esac
    tpcoord run "$scratch/run" --quiet
    set --
    for kind in forward backward backward_input backward_weights update; do
        times=$(op_ms "$scratch/run" "$kind" part)
        # A report has the backward of a mini-batch, the config that of a micro-batch.
        [ "$kind" != backward ] || times=$(of_microbatch "$times" "$system" "$microbatches")
        [ -z "$times" ] || set -- "$@" --set "simulation.${kind}_ms=$times"
    done
    tpcoord plan "$scratch/plan" --simulate "$@"
    tpcoord plan "$scratch/layers" --simulate
    seconds=$(awk -v images="$images" -v rate="$(member "$scratch/run" images_per_second)" 'BEGIN { print images / rate }')
    printf '%-16s %2d %2d  %9.3f %10.3f %6.3f   %-14s %-14s  %.3f\n' "$system" "$stages" "$microbatches" "$seconds" \
        "$(member "$scratch/plan" epoch_seconds)" \
        "$(awk -v p="$(member "$scratch/plan" epoch_seconds)" -v m="$seconds" 'BEGIN { print p / m }')" \
        "$(differences run measured)" "$(differences plan version_difference)" \
        "$(awk -v p="$(member "$scratch/layers" epoch_seconds)" -v m="$seconds" 'BEGIN { print p / m }')"
done
