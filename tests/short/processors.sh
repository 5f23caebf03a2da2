#!/bin/sh
# Kernels compile without a warning for processors with SSE, with AVX2 and with AVX-512, whichever this one is: a vector that
# is wider than the registers is a warning on those that have narrower ones.
# Usage: TP_BUILD=build tests/short/processors.sh
build=${TP_BUILD:-build}/processors
cd "$(dirname "$0")/../.." || exit 1
[ "$(uname -m)" = x86_64 ] || { echo "skipped: these are levels of x86-64"; exit 77; }
for level in 2 3 4; do
    objects=$(ls kernels/onednn/*.c kernels/reference/*.c | sed "s|\(.*\)\.c|$build/v$level/\1.o|")
    make --no-print-directory -j"$(nproc)" BUILD="$build/v$level" ARCH="x86-64-v$level" WERROR=1 CUDA=0 $objects || exit 1
done
