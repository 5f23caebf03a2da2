#!/bin/sh
# 10 seconds of make fuzz for each target.
# Usage: TP_BUILD=build tests/short/fuzz.sh
build=${TP_BUILD:-build}
cd "$(dirname "$0")/../.." || exit 1
command -v clang >/dev/null || { echo "skipped: there is no clang"; exit 77; }
exec make --no-print-directory BUILD="$build" SECONDS=10 fuzz
