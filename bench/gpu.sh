#!/bin/sh
# Compares, on one GPU and in one sitting: the training of configs/resnet.ini in one, two and four stages, call by call and
# with CUDA graphs, with PyTorch's, eager and compiled with CUDA graphs, on the same network, mini-batch and images that
# lie ready. They take turns, round by round, and medians count. Stages on one GPU take turns on it: more of them cannot
# be faster.
#
# Usage: bench/gpu.sh BUILD   (BUILD: where tpcoord and tpstage are)
#   PYTHON=python3   interpreter that has PyTorch with CUDA
#   ROUNDS=5         of measurements
#   IMAGES=60000     to train on in each
# Exit status 77: there is no GPU.
export LC_ALL=C
. "$(dirname "$0")/common.sh"
python=${PYTHON:-python3}
rounds=${ROUNDS:-5}
images=${IMAGES:-60000}
tab=$(printf '\t')

"$build/tpcoord" devices >"$scratch/devices"
if ! grep -q '^gpu 0 .* compute capability' "$scratch/devices"; then
    sed -n 's/^no GPU can be used/bench: &/p; s/^gpu 0 *cannot be used/bench: GPU 0 &/p' "$scratch/devices"
    exit 77
fi

# NAME FIGURE: one measurement, in images per second.
record() {
    [ -n "$2" ] || fail "printed no figure"
    printf '  %.0f images/s\n' "$2"
    printf '%s\t%s\n' "$1" "$2" >>"$scratch/figures"
}

# NAME STAGES GRAPHS
train() {
    run "$build/tpcoord" run "$root/configs/resnet.ini" --quiet --json - --epochs 1 --set "run.output=$scratch" \
        --set device.backend=cuda --set "device.map=$(seq -s, "$2" | sed 's/[0-9][0-9]*/0/g')" \
        --set "device.graphs=$3" --set "data.limit=$images" --set "pipeline.stages=$2" || fail "failed"
    record "$1" "$(images_per_second "$scratch/output")"
}

# NAME OPTION...
pytorch() {
    name=$1 status=0
    shift
    run "$python" "$root/bench/gpu_pytorch.py" --batch 64 "$@" || status=$?
    case $status in
    0) record "$name" "$(sed -n 's/^pytorch .*: \([0-9]*\) images\/s.*/\1/p' "$scratch/output")" ;;
    77 | 127) cat "$scratch/output" ;;
    *) fail "failed" ;;
    esac
}

measure() {
    for stages in 1 2 4; do
        train "W = $stages" "$stages" no
        train "W = $stages, graphs" "$stages" yes
    done
    pytorch "PyTorch, eager"
    pytorch "PyTorch, compiled" --compile
}

table() {
    sort -t "$tab" -k 2n "$scratch/figures" | awk -F '\t' '
        function median(name) {
            return (rate[name, int((count[name] + 1) / 2)] + rate[name, int(count[name] / 2) + 1]) / 2
        }
        function percent(name, of) {
            return of in count ? sprintf("%.0f%%", 100 * median(name) / median(of)) : "-"
        }
        NR == FNR { if (!($1 in seen)) names[++rows] = $1; seen[$1]; next }
        { rate[$1, ++count[$1]] = $2 }
        END {
            printf "%-18s %9s %7s %8s %14s %17s\n", "", "images/s", "lowest", "highest", "of eager", "of compiled"
            for (i = 1; i <= rows; i++) {
                n = names[i]
                printf "%-18s %9.0f %7.0f %8.0f %14s %17s\n", n, median(n), rate[n, 1], rate[n, count[n]], \
                    percent(n, "PyTorch, eager"), percent(n, "PyTorch, compiled")
            }
        }' "$scratch/figures" -
}

cat "$scratch/devices"
for i in $(seq "$rounds"); do
    echo
    echo "round $i of $rounds"
    measure
done
echo
table
echo
echo "images/s: the median round's, in training. tp reads and shuffles Fashion-MNIST as it goes; PyTorch's mini-batches lie in"
echo "the GPU's memory. Both multiply in TF32 (device.tf32)."
