#!/bin/sh
# The papers' claim is about slow networks: seconds of training per epoch of four stages on four hosts, made by
# tests/hosts.sh, for systems and rates of the cables; beside them what the simulator says with the rate that it has measured
# there. As root.
# Usage: bench/cluster.sh BUILD [CONFIG [IMAGES [RATE...]]]
set -eu
build=$(cd "${1:?usage: bench/cluster.sh BUILD [CONFIG [IMAGES [RATE...]]]}" && pwd)
cd "$(dirname "$0")/.."
config=${2:-configs/resnet.ini} images=${3:-2000}
systems="timeprest pipedream gpipe 1f1b"

if [ -z "${TP_HOSTS:-}" ]; then
    [ $# -gt 3 ] && shift 3 || set -- 1gbit 100mbit
    echo "$config, $images images an epoch, W = 4, a stage on each of four hosts, $(nproc) cores in all"
    echo "cables       Mbit/s  latency us  system      seconds/epoch  predicted"
    for rate in "$@"; do
        CABLES=$rate tests/hosts.sh --rate "$rate" 4 "$PWD/bench/cluster.sh" "$build" "$config" "$images"
    done
    exit
fi

work=$(mktemp -d "$build/cluster.XXXXXX")
trap 'rm -rf "$work"' EXIT
for system in $systems; do
    common="--hosts a,b,c,d --set pipeline.stages=4 --set data.limit=$images --set pipeline.system=$system"
    [ "$system" != pipedream ] || common="$common --set pipeline.microbatches=1"
    # shellcheck disable=SC2086 # they are words
    "$build/tpcoord" plan "$config" $common --simulate >"$work/plan" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
    link=$(sed -n 's/^ *1-2 .* a - b: \(.*\) Mbit\/s, \(.*\) us$/\1 \2/p' "$work/plan")
    mbit=${link% *} latency=${link#* }
    predicted=$(sed -n 's/.* images\/s, \([0-9.]*\) s per epoch of training/\1/p' "$work/plan")
    # shellcheck disable=SC2086
    "$build/tpcoord" "$config" $common --epochs 1 --quiet --set run.output="$work" --set run.name="$system" \
        --json "$work/report.json" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
    # Of training: an epoch's seconds are those of its test, too.
    rate=$(tr '\n' ' ' <"$work/report.json" | sed 's/.*"epochs": *\[ *{[^}]*"images_per_second": *\([0-9.]*\).*/\1/')
    seconds=$(awk -v images="$images" -v rate="$rate" 'BEGIN { print images / rate }')
    printf '%-8s %10.0f %11.0f  %-11s %13.2f %10.2f\n' "${CABLES:-}" "$mbit" "$latency" "$system" "$seconds" "$predicted"
done
