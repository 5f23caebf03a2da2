#!/bin/sh
# Does what the papers on TiMePReSt claim hold here? Makes the tables of docs/claims.md again: how well each system learns,
# on a convolutional network whose weights outweigh its activations and on a small Llama, at the best of three rates.
#
# A rate is chosen by the training loss of a seed that no table has, so that neither the test set nor the seeds that are
# compared take part in the choice. Orders are static: another machine, or a busy one, gets the same numbers.
#
# Each run appends a line to RESULTS. What is there is not run again, so the script may be interrupted and goes on.
#
# Usage: bench/claims.sh BUILD   (BUILD: where tpcoord and tpstage are)
#   RESULTS=claims.tsv
#   SEEDS="1 2 3"      to compare
#   RATE_SEED=4        to choose a rate with
#   WORKLOADS="alexnet llama"
#   NICE="nice -n 19"  in front of each run
#   FORMS="gpipe ..."  default: all of the table below
export LC_ALL=C
. "$(dirname "$0")/common.sh"
results=${RESULTS:-claims.tsv}
seeds=${SEEDS-1 2 3}
rate_seed=${RATE_SEED:-4}
tab=$(printf '\t')

# A form of a system, the workloads that it is tried on, and what it sets. Mini-batches are the same for all.
table='gpipe            alexnet,llama pipeline.system=gpipe
timeprest           alexnet,llama pipeline.system=timeprest
pipedream           alexnet,llama pipeline.system=pipedream pipeline.microbatches=1
v-timeprest         alexnet,llama pipeline.system=v-timeprest
i-timeprest         alexnet,llama pipeline.system=i-timeprest
1f1b                alexnet,llama pipeline.system=1f1b
pipedream-vertical  alexnet,llama pipeline.system=pipedream pipeline.microbatches=1 pipeline.vertical_sync=yes
pipedream-2bw       alexnet,llama pipeline.system=pipedream-2bw pipeline.microbatches=4
variant1            alexnet,llama pipeline.system=timeprest pipeline.backward_weights=forward
variant2            alexnet,llama pipeline.system=pipedream pipeline.microbatches=1 pipeline.forward_weights=pinned pipeline.backward_weights=committed
timeprest-recompute alexnet,llama pipeline.system=timeprest pipeline.backward_activations=recompute
timeprest-beta1-0   llama pipeline.system=timeprest train.beta1=0
timeprest-no-clip   llama pipeline.system=timeprest train.clip_norm=0
timeprest-warm-up   llama pipeline.system=timeprest train.warmup_epochs=2
timeprest-n12       llama pipeline.system=timeprest pipeline.microbatches=12
timeprest-w2        llama pipeline.system=timeprest pipeline.stages=2 pipeline.partition=5,6'

# WORKLOAD: its three rates.
rates() {
    case $1 in alexnet) echo 0.0015 0.005 0.015 ;; llama) echo 0.0007 0.002 0.006 ;; esac
}

# WORKLOAD: what every run of it sets beside its config. The partition is one for all, or it would be compared too.
settings() {
    case $1 in
    alexnet) echo data.limit=3200 run.epochs=4 pipeline.partition=1,1,1,3 ;;
    llama) echo data.limit=800 run.epochs=4 pipeline.partition=3,2,2,4 data.context=64 train.warmup_epochs=0.5 ;;
    esac
}

# WORKLOAD: the test top-1 that epochs are counted to.
target() {
    case $1 in alexnet) echo 0.75 ;; llama) echo 0.35 ;; esac
}

# FORM: its row of the table, without the name.
row() {
    echo "$table" | sed -n "s/^$1  *//p"
}

# JSON NAME: that member of every epoch, joined by commas.
by_epoch() {
    sed -n "s/^      \"$2\": \([-0-9.e+]*\),*\$/\1/p" "$1" | paste -s -d ,
}

# WORKLOAD FORM RATE SEED: trains, if there is no line about it; leaves the line's figures: training losses, test losses and
# top-1 of each epoch, or "diverged".
train() {
    key="$1 $2 rate=$3 seed=$4 $(settings "$1") $(row "$2" | cut -d ' ' -f 2-)"
    grep -q "^$key$tab" "$results" && return
    set -- "$root/configs/$1.ini" --quiet --json "$scratch/report" --set "run.output=$scratch/runs" \
        --set device.backend=onednn --set pipeline.stages=4 --set pipeline.microbatches=3 --set pipeline.order=static \
        --set checkpoints.keep=0 --set "train.lr=$3" --set "run.seed=$4"
    for setting in ${key#* * * * }; do
        set -- "$@" --set "$setting"
    done
    echo "+ ${key}"
    if ${NICE:-} "$build/tpcoord" run "$@" >"$scratch/output" 2>"$scratch/errors"; then
        figures="$(by_epoch "$scratch/report" train_loss)$tab$(by_epoch "$scratch/report" test_loss)"
        figures="$figures$tab$(by_epoch "$scratch/report" test_top1)"
    elif grep -q 'a lower train.lr may help' "$scratch/errors"; then
        figures=diverged
    else
        fail failed
    fi
    rm -rf "$scratch/runs"
    printf '%s\t%s\n' "$key" "$figures" >>"$results"
}

# WORKLOAD FORM: the rate whose last training loss is the lowest.
best_rate() {
    for rate in $(rates "$1"); do
        grep "^$1 $2 rate=$rate seed=$rate_seed $(settings "$1") " "$results" | tail -n 1
    done | awk -F '\t' '$2 != "diverged" {
        n = split($2, loss, ",")
        if (best == "" || loss[n] < least) { least = loss[n]; split($1, word, " "); best = substr(word[3], 6) }
    } END { print best }'
}

# WORKLOAD: one line a form, means and deviations over the seeds.
print_table() {
    printf '\n%-20s %7s  %-17s %-17s %s\n' "$1" rate "test loss" "top-1" "epochs to $(target "$1")"
    for form in $forms; do
        rate=$(best_rate "$1" "$form")
        [ -n "$rate" ] || continue
        for seed in $seeds; do
            grep "^$1 $form rate=$rate seed=$seed $(settings "$1") " "$results" | tail -n 1
        done | awk -F '\t' -v form="$form" -v rate="$rate" -v target="$(target "$1")" '
            function deviation(sum, squares) {
                return n > 1 ? sqrt((squares - sum * sum / n > 0 ? squares - sum * sum / n : 0) / (n - 1)) : 0
            }
            $2 == "diverged" { diverged++; next }
            {
                epochs = split($3, loss, ","); split($4, top, ",")
                n++; a += loss[epochs]; aa += loss[epochs] ^ 2; b += top[epochs]; bb += top[epochs] ^ 2
                for (e = 1; e <= epochs && top[e] < target; e++) continue
                to = to (to == "" ? "" : " ") (e <= epochs ? e : "-")
            }
            END {
                if (n) printf "%-20s %7s  %.3f +- %.3f    %5.2f +- %4.2f %%   %s%s\n", form, rate, a / n, deviation(a, aa),
                    100 * b / n, 100 * deviation(b, bb), to, diverged ? ", " diverged " diverged" : ""
            }'
    done
}

forms=${FORMS:-$(echo "$table" | cut -d ' ' -f 1)}
touch "$results"
for form in $forms; do
    for workload in ${WORKLOADS:-alexnet llama}; do
        case ",$(row "$form" | cut -d ' ' -f 1)," in *",$workload,"*) ;; *) continue ;; esac
        for rate in $(rates "$workload"); do
            train "$workload" "$form" "$rate" "$rate_seed"
        done
        best=$(best_rate "$workload" "$form")
        for seed in ${best:+$seeds}; do
            train "$workload" "$form" "$best" "$seed"
        done
    done
done
for workload in ${WORKLOADS:-alexnet llama}; do
    print_table "$workload"
done
