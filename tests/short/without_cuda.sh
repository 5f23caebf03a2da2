#!/bin/sh
# Where the suite is built for GPUs: tp builds without CUDA as well, and says so.
# Usage: TP_BUILD=build tests/short/without_cuda.sh
build=${TP_BUILD:-build}
cd "$(dirname "$0")/../.." || exit 1
if "$build/tpcoord" --version | grep -q cuda; then
    build=$build/without-cuda
    make --no-print-directory BUILD="$build" CUDA=0 OPT=-O1 -j"$(nproc)" programs || exit 1
else
    echo "the suite itself is built so"
fi
"$build/tpcoord" --version | grep 'backends: onednn, reference)'
