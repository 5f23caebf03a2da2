#!/bin/sh
# One small run of each backend with every process under valgrind: no error, and nothing that a program has lost, or still
# holds by mistake, at its end.
# Usage: tests/valgrind.sh BUILD
set -eu
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is still reachable at the end is the library's, made once.
lost=definite,indirect,possible
for backend in reference onednn; do
    ONEDNN_MAX_CPU_ISA=AVX2 valgrind --quiet --trace-children=yes --leak-check=full --error-exitcode=99 \
        --show-leak-kinds=$lost --errors-for-leak-kinds=$lost --log-file="$work/$backend-%p" \
        "$build/tpcoord" /dev/null --quiet --epochs 2 --set run.output="$work/runs" --set device.backend=$backend \
        --set model.arch=resnet8 --set data.set=synthetic --set data.limit=16 --set data.batch=8 \
        --set pipeline.order=static --set pipeline.stages=3 || { cat "$work/$backend-"*; exit 1; }
    processes=$(ls "$work/$backend-"* | wc -l)
    found=$(cat "$work/$backend-"* | wc -c)
    echo "$backend: $processes processes, $found bytes of complaints"
    [ "$processes" -ge 4 ] && [ "$found" -eq 0 ] || { cat "$work/$backend-"*; exit 1; }
done
