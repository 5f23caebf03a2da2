#!/bin/sh
# How long is an epoch of each system, on four stages that have a core each, over links of several rates? Measures the ops
# of every stage layer by layer, as tpcoord plan --simulate does, one at a time: a quiet core is all it needs. Then the
# event simulator plays an epoch of every system with these times. Prints them, and a table of seconds for each network.
#
# All systems have one partition, and those that call the same kernels on as many samples the same times (`ops_of`), so that
# rows differ by their order of work alone. Each round measures all; the shortest time of a stage counts, as whatever disturbs
# makes it longer.
#
# Usage: bench/epochs.sh BUILD   (BUILD: where tpcoord is)
#   NETWORKS="vgg16-4096 alexnet llama-1.5m"
#   SYSTEMS="timeprest ..."
#   LINKS="0 1000 100"   in Mbit/s; 0: at no cost
#   ORDER=dynamic
#   ROUNDS=3
export LC_ALL=C
. "$(dirname "$0")/common.sh"
networks=${NETWORKS:-vgg16-4096 alexnet llama-1.5m}
systems=${SYSTEMS:-timeprest v-timeprest i-timeprest pipedream gpipe 1f1b zb-h1}
links=${LINKS:-0 1000 100}
order=${ORDER:-dynamic}

# NETWORK: its config.
settings() {
    case $1 in
    vgg16-4096) echo "$root/configs/vgg16.ini --set model.arch=vgg16-4096" ;;
    llama-1.5m) echo "$root/configs/llama.ini" ;;
    *) echo "$root/configs/$1.ini" ;;
    esac
}

# SYSTEM: the one that is measured in its place, and its micro-batches.
ops_of() {
    case $1 in *timeprest) echo timeprest ;; gpipe | 1f1b) echo gpipe ;; *) echo "$1" ;; esac
}
microbatches() {
    case $1 in pipedream) echo 1 ;; *) echo 3 ;; esac
}

# NETWORK SYSTEM OPTION...: predicts an epoch.
plan() {
    network=$1 system=$2
    shift 2
    # shellcheck disable=SC2046 # they are words
    "$build/tpcoord" plan $(settings "$network") --simulate --json "$scratch/plan" --set device.backend=onednn \
        --set pipeline.balance=flops --set pipeline.stages=4 --set "pipeline.system=$system" \
        --set "pipeline.microbatches=$(microbatches "$system")" \
        --set "pipeline.order=$order" "$@" >"$scratch/output" 2>"$scratch/errors" || fail failed
}

# NETWORK SYSTEM: adds lines of network, system, kind of op, and its times at each stage.
measure() {
    plan "$1" "$2"
    for kind in forward backward backward_input backward_weights update; do
        times=$(op_ms "$scratch/plan" "$kind" stage)
        [ -z "$times" ] || echo "$1 $2 $kind $times" >>"$scratch/rounds"
    done
}

# The shortest of each stage, in lines of the same form.
shortest() {
    awk '{
        key = $1 " " $2 " " $3
        if (!(key in seen)) { seen[key]; keys[++count] = key }
        stages = split($4, ms, ",")
        for (s = 1; s <= stages; s++)
            if (!((key, s) in least) || ms[s] + 0 < least[key, s]) least[key, s] = ms[s] + 0
    } END {
        for (k = 1; k <= count; k++) {
            printf "%s ", keys[k]
            for (s = 1; s <= stages; s++) printf "%s%s", least[keys[k], s], s < stages ? "," : "\n"
        }
    }' "$scratch/rounds"
}

# NETWORK SYSTEM LINK: seconds of an epoch.
predict() {
    network=$1 system=$2 link=$3
    set -- --set "simulation.link_mbit=$link"
    for kind in $(sed -n "s/^$network $(ops_of "$system") \([a-z_]*\) .*/\1/p" "$scratch/ops"); do
        times=$(sed -n "s/^$network $(ops_of "$system") $kind //p" "$scratch/ops")
        [ "$kind" != backward ] || times=$(of_microbatch "$times" "$system" "$(microbatches "$system")")
        set -- "$@" --set "simulation.${kind}_ms=$times"
    done
    plan "$network" "$system" "$@"
    member "$scratch/plan" epoch_seconds
}

for round in $(seq "${ROUNDS:-3}"); do
    for network in $networks; do
        for system in $(for each in $systems; do ops_of "$each"; done | sort -u); do
            measure "$network" "$system"
        done
    done
done
shortest >"$scratch/ops"
echo "milliseconds at each stage, the shortest of ${ROUNDS:-3} rounds:"
awk '{ printf "%-11s %-10s %-16s", $1, $2, $3; stages = split($4, ms, ","); for (s = 1; s <= stages; s++) printf " %9.3f", ms[s]
    print "" }' "$scratch/ops"
for network in $networks; do
    printf '\n%-14s' "$network"
    for link in $links; do
        printf ' %12s' "$([ "$link" = 0 ] && echo "links free" || echo "$link Mbit/s")"
    done
    printf '   seconds an epoch, %s order\n' "$order"
    for system in $systems; do
        printf '%-14s' "$system"
        for link in $links; do
            printf ' %12.1f' "$(predict "$network" "$system" "$link")"
        done
        printf '\n'
    done
done
