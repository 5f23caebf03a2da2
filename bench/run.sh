#!/bin/sh
# Compares, on this machine and in one sitting: the training of configs/resnet.ini in four stages, in two and in one;
# the limit that its convolutions alone set; and PyTorch. They take turns, round by round, and medians count, so that a
# machine whose speed drifts favours nobody. Let nothing else run: threads that wait for each other, as PyTorch's do,
# lose far more to other programs than pipelines do.
#
# Usage: bench/run.sh BUILD   (BUILD: where tpcoord, tpstage and bench/convolutions are; make bench runs this)
#   PYTHON=python3   interpreter that has PyTorch
#   ROUNDS=3         of measurements
#   IMAGES=12800     to train on in each
export LC_ALL=C
. "$(dirname "$0")/common.sh"
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
images=${IMAGES:-12800}
cores=$(nproc)
tab=$(printf '\t')

# NAME CORES FIGURE: one measurement, in images per second on so many cores.
record() {
    [ -n "$3" ] || fail "printed no figure"
    printf '  %.0f images/s\n' "$3"
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$scratch/figures"
}

# NAME STAGES THREADS
train() {
    busy=$(($2 * $3 < cores ? $2 * $3 : cores))
    run "$build/tpcoord" run "$root/configs/resnet.ini" --quiet --json - --epochs 1 --set "run.output=$scratch" \
        --set "data.limit=$images" --set "pipeline.stages=$2" --set "device.threads=$3" || fail "failed"
    record "$1" "$busy" "$(images_per_second "$scratch/output")"
}

# Architecture, mini-batch and micro-batches of configs/resnet.ini.
convolutions() {
    run "$build/bench/convolutions" resnet20 64 3 || fail "failed"
    record "convolutions alone" 1 "$(awk '/^convolutions alone/ { print 1e6 / $3 }' "$scratch/output")"
}

pytorch() {
    status=0
    run "$python" "$root/bench/peer_pytorch.py" --batch 64 --threads "$cores" || status=$?
    case $status in
    0) record PyTorch "$cores" "$(sed -n 's/^pytorch .*: \([0-9]*\) images\/s.*/\1/p' "$scratch/output")" ;;
    77 | 127) echo "PyTorch is not installed" | tee "$scratch/output" ;;
    *) fail "failed" ;;
    esac
    mv "$scratch/output" "$scratch/pytorch"
}

# Percent of the machine's time that programs take in this second, in which none of ours runs.
others() {
    before=$(awk '/^cpu / { print $5 }' /proc/stat)
    sleep 1
    after=$(awk '/^cpu / { print $5 }' /proc/stat)
    echo $((100 - 100 * (after - before) / ($(getconf CLK_TCK) * $(nproc --all))))
}

measure() {
    train "4 stages" 4 1
    train "2 stages" 2 1
    train "1 stage" 1 1
    [ "$cores" -eq 1 ] || train "1 stage, $cores threads" 1 "$cores"
    convolutions
    pytorch
}

table() {
    sort -t "$tab" -k 3n "$scratch/figures" | awk -F '\t' '
        function median(name) {
            return (rate[name, int((count[name] + 1) / 2)] + rate[name, int(count[name] / 2) + 1]) / 2
        }
        function percent(of, name) {
            return of > 0 ? sprintf("%.0f%%", 100 * median(name) / of) : "-"
        }
        NR == FNR { if (!($1 in cores)) names[++rows] = $1; cores[$1] = $2; next }
        { rate[$1, ++count[$1]] = $3 }
        END {
            printf "%-20s %5s %9s %7s %8s %13s %11s\n", \
                "", "cores", "images/s", "lowest", "highest", "of the limit", "of PyTorch"
            for (i = 1; i <= rows; i++) {
                n = names[i]
                printf "%-20s %5d %9.0f %7.0f %8.0f %13s %11s\n", n, cores[n], median(n), rate[n, 1], \
                    rate[n, count[n]], percent(cores[n] * median("convolutions alone"), n), \
                    percent(median("PyTorch"), n)
            }
        }' "$scratch/figures" -
}

echo "machine: $(lscpu | sed -n '/^Model name:/ { s/.*: *//p; q }'), $cores cores, $(uname -sr)"
for i in $(seq "$rounds"); do
    echo
    echo "round $i of $rounds, while other programs take $(others)% of the machine"
    measure
done
echo
table
echo
echo "images/s: the median round's. The limit: if convolutions were all there is, on as many cores."
cat "$scratch/pytorch"
