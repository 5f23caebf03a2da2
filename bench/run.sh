#!/bin/sh
# Compares, on this machine and in one sitting, for each network that is built in: its training in four stages, in two
# and in one; the limit that its convolutions alone set; and PyTorch. They take turns, round by round, and medians
# count, so that a machine whose speed drifts favours nobody. Let nothing else run: threads that wait for each other, as
# PyTorch's do, lose far more to other programs than pipelines do.
#
# Usage: bench/run.sh BUILD   (BUILD: where tpcoord, tpstage and bench/convolutions are; make bench runs this)
#   BENCH="resnet20 vgg16"   default: all of the table below
#   PYTHON=python3   interpreter that has PyTorch
#   ROUNDS=3         of measurements
#   SAMPLES=12800    to train on in each, or fewer where a network takes longer
export LC_ALL=C
. "$(dirname "$0")/common.sh"
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
cores=$(nproc)
tab=$(printf '\t')

# A network; the config that says how it is trained; the side of its images, or its tokens; and of SAMPLES the part that is
# enough: one in so many.
table='mlp resnet 28 1
resnet8 resnet 28 1
resnet20 resnet 28 1
resnet32 resnet 28 2
resnet56 resnet 28 4
resnet110 resnet 28 8
alexnet resnet 32 1
vgg16 resnet 32 5
vgg16-4096 resnet 32 5
resnet50 resnet 32 12
llama-1.5m llama 256 8'
networks=${BENCH:-$(echo "$table" | cut -d ' ' -f 1)}
for name in $networks; do
    if ! echo "$table" | grep -q "^$name "; then
        echo "bench: BENCH: $name is none of" $(echo "$table" | cut -d ' ' -f 1) >&2
        exit 2
    fi
done

# NAME CORES FIGURE: one measurement of $network, in samples per second on so many cores.
record() {
    [ -n "$3" ] || fail "printed no figure"
    printf '  %.0f samples/s\n' "$3"
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$network" >>"$scratch/figures"
}

# NAME STAGES THREADS [TIMES]: for which the static order's list is made. With as many stages as cores, each waits for the
# other wherever the list has other lengths than ops have.
train() {
    busy=$(($2 * $3 < cores ? $2 * $3 : cores))
    case $config in
    llama) data="data.file=$scratch/text" ;;
    *) data="data.enlarge=$([ "$side" = 28 ] && echo no || echo yes)" ;;
    esac
    run "$build/tpcoord" run "$root/configs/$config.ini" --quiet --json - --epochs 1 --set "run.output=$scratch" \
        --set "model.arch=$network" --set "$data" --set train.lr=0.001 --set "data.limit=$samples" \
        --set "pipeline.stages=$2" --set "device.threads=$3" --set "pipeline.static=${4:-unit}" || fail "failed"
    record "$1" "$busy" "$(images_per_second "$scratch/output")"
}

# COUNT: of convolutions alone, so many at once, each in a process of its own: cores share caches, memory and more.
convolutions() {
    echo "+ $build/bench/convolutions $network $batch 3 $side$([ "$1" = 1 ] || echo ", $1 at once")"
    : >"$scratch/output"
    for i in $(seq "$1"); do
        "$build/bench/convolutions" "$network" "$batch" 3 "$side" >>"$scratch/output" 2>"$scratch/errors" &
    done
    wait
    [ "$(grep -c "^the whole network" "$scratch/output")" -eq "$1" ] || fail "failed"
    figure=$(awk '/^convolutions alone/ && $3 > 0 { sum += 1e6 / $3 } END { if (sum > 0) print sum }' "$scratch/output")
    [ -z "$figure" ] || record "$(limit "$1")" "$1" "$figure"
}

# COUNT: the name of what sets the limit on so many cores.
limit() {
    [ "$1" = 1 ] && echo "convolutions alone" || echo "convolutions, $1 x"
}

pytorch() {
    status=0
    run "$python" "$root/bench/peer_pytorch.py" --network "$network" --batch "$batch" --threads "$cores" || status=$?
    case $status in
    0) record PyTorch "$cores" "$(sed -n 's/^pytorch .*: \([0-9.]*\) samples\/s.*/\1/p' "$scratch/output")" ;;
    77 | 127) echo "PyTorch is not installed" | tee "$scratch/output" ;;
    *) fail "failed" ;;
    esac
    mv "$scratch/output" "$scratch/pytorch.$network"
}

# Percent of the machine's time that programs take in this second, in which none of ours runs.
others() {
    before=$(awk '/^cpu / { print $5 }' /proc/stat)
    sleep 1
    after=$(awk '/^cpu / { print $5 }' /proc/stat)
    echo $((100 - 100 * (after - before) / ($(getconf CLK_TCK) * $(nproc --all))))
}

# NETWORK
measure() {
    network=$1
    row=$(echo "$table" | grep "^$1 ")
    config=$(echo "$row" | cut -d ' ' -f 2)
    side=$(echo "$row" | cut -d ' ' -f 3)
    samples=$((${SAMPLES:-12800} / $(echo "$row" | cut -d ' ' -f 4)))
    batch=$(sed -n 's/^batch *= *\([0-9]*\).*/\1/p' "$root/configs/$config.ini")
    [ "$network" = mlp ] || train "4 stages" 4 1
    train "2 stages" 2 1 nominal
    train "1 stage" 1 1
    [ "$cores" -eq 1 ] || train "1 stage, $cores threads" 1 "$cores"
    convolutions 1
    [ "$cores" -eq 1 ] || convolutions "$cores"
    pytorch
}

# NETWORK
print_table() {
    grep "$tab$1\$" "$scratch/figures" >"$scratch/own"
    sort -t "$tab" -k 3n "$scratch/own" | awk -F '\t' -v network="$1" '
        function median(name) {
            return (rate[name, int((count[name] + 1) / 2)] + rate[name, int(count[name] / 2) + 1]) / 2
        }
        function percent(of, name) {
            return of > 0 ? sprintf("%.0f%%", 100 * median(name) / of) : "-"
        }
        NR == FNR {
            if (!($1 in cores)) names[++rows] = $1
            cores[$1] = $2
            if ($1 ~ /^convolutions/) limit[$2] = $1
            next
        }
        { rate[$1, ++count[$1]] = $3 }
        END {
            printf "%-20s %5s %9s %7s %8s %13s %11s\n", \
                network, "cores", "samples/s", "lowest", "highest", "of the limit", "of PyTorch"
            for (i = 1; i <= rows; i++) {
                n = names[i]
                printf "%-20s %5d %9.0f %7.0f %8.0f %13s %11s\n", n, cores[n], median(n), rate[n, 1], \
                    rate[n, count[n]], percent(cores[n] in limit ? median(limit[cores[n]]) : 0, n), \
                    percent(median("PyTorch"), n)
            }
        }' "$scratch/own" -
}

# WHAT COMMAND: how long it takes, from its start to its end.
time_of() {
    what=$1
    shift
    started=$(date +%s.%N)
    run "$@" || fail "failed"
    date +%s.%N | awk -v what="$what" -v started="$started" '{ printf "  %s: %.2f s\n", what, $1 - started }'
}

# For what a user waits before anything is trained.
start_up() {
    time_of "the plan" "$build/tpcoord" plan "$root/configs/resnet.ini"
    time_of "a run of one mini-batch" "$build/tpcoord" run "$root/configs/resnet.ini" --quiet --epochs 1 \
        --set data.limit=64 --set "run.output=$scratch"
}

# What text it is makes no difference to speed.
cat "$root"/docs/*.md "$root"/README.md "$root"/kernels/*/*.c >"$scratch/text"

echo "machine: $(lscpu | sed -n '/^Model name:/ { s/.*: *//p; q }'), $cores cores, $(uname -sr)"
echo
start_up
[ "$cores" -eq 1 ] || { echo && "$build/bench/handoff"; }
for i in $(seq "$rounds"); do
    for name in $networks; do
        echo
        echo "round $i of $rounds, while other programs take $(others)% of the machine"
        measure "$name"
    done
done
for name in $networks; do
    echo
    print_table "$name"
    cat "$scratch/pytorch.$name"
done
echo
echo "samples/s: the median round's. The limit: if convolutions were all there is, on as many cores at once."
