#!/bin/sh
# Installs the Debian packages named, if any is missing. Does nothing, and needs no network, when all are there.
# Usage: deps.sh [--check | --try] PACKAGE...
#   --check   install nothing: say what is missing, and fail
#   --try     what cannot be installed is said, and no failure
set -eu

mode=install
case $1 in --check | --try) mode=${1#--}; shift ;; esac

# On other systems packages have other names: the compiler will say what is missing.
if ! command -v dpkg-query >/dev/null; then
    [ "$mode" = install ] || exit 0
    echo "deps: this is no Debian; what is needed there is called: $*" >&2
    exit 0
fi

missing=
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$mode" = check ]; then
    echo "deps: missing:$missing" >&2
    echo "deps: make deps installs what building, running and testing need; or: apt-get install$missing" >&2
    exit 1
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "deps: please install as root: apt-get install$missing" >&2
    [ "$mode" = try ] && exit 0
    exit 1
fi

echo "deps: installing$missing"
# shellcheck disable=SC2086 # package names are words
{
    $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
} && exit 0
[ "$mode" = try ] || exit 1
echo "deps: goes on without$missing" >&2
