#!/bin/sh
# make lint, where its tools are those of Debian 12: other versions format, and complain, otherwise.
# Usage: TP_BUILD=build tests/short/lint.sh
cd "$(dirname "$0")/../.." || exit 1
clang-format --version 2>/dev/null | grep -q 'version 14\.' && cppcheck --version 2>/dev/null | grep -q ' 2\.10' || {
    echo "skipped: needs clang-format 14 and cppcheck 2.10"
    exit 77
}
exec make --no-print-directory lint
