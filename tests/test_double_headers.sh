#!/bin/sh
# The double of CUDA must declare what CUDA does: every function and every number of tests/gpu/include is there in the real
# headers, and is the same. Skipped where there are none.
# Usage: [CUDA_HOME=DIR] tests/test_double_headers.sh
set -u
cd "$(dirname "$0")/.." || exit 1
include=${CUDA_HOME:-/usr/local/cuda}/include
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
compared=0 failed=0

# A C file that includes the real header and then says again what the double says.
restate() {
    echo "#include <$(basename "$1")>"
    awk '
        /^[a-zA-Z_]+ [*]?cu[a-zA-Z0-9_]+\(/ {
            name = $0
            sub(/\(.*/, "", name)
            sub(/.*[ *]/, "", name)
            printf "extern __typeof__(%s) %s;\n", name, name
            inside = 1
        }
        inside { print }
        /;$/ { inside = 0 }
    ' "$1"
    { grep -oE '\b[A-Za-z][A-Za-z0-9_]* = [0-9]+' "$1"
      sed -nE 's/^#define (c[A-Za-z0-9_]+) +(0x[0-9]+)$/\1 = \2/p' "$1"
    } | sed -E 's/^(.*) = (.*)$/_Static_assert(\1 == \2, "\1");/'
}

for header in tests/gpu/include/*.h; do
    name=$(basename "$header")
    # That one is C++ and not all CUDA's.
    if [ "$name" = cuda_runtime.h ] || [ ! -e "$include/$name" ]; then
        continue
    fi
    compared=$((compared + 1))
    restate "$header" >"$work/restated.c"
    ${CC:-cc} -std=c11 -Wall -Werror -Wno-deprecated-declarations -isystem "$include" -fsyntax-only "$work/restated.c" ||
        failed=$((failed + 1))
done
[ "$compared" -gt 0 ] || { echo "no CUDA headers in $include"; exit 77; }
echo "$compared headers compared, $failed differ"
[ "$failed" -eq 0 ]
