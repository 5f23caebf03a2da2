#!/bin/sh
# What the Makefile promises: no object is older than its flags, other trees are left alone, installing and removing work
# anywhere, nothing is installed on the machine unasked; and one version stands everywhere.
# Usage: TP_BUILD=build tests/test_make.sh
set -u
build=$(cd "${TP_BUILD:-build}" && pwd) && cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0 checks=0

# ok WHAT COMMAND...: the command succeeds. said WHAT TEXT: that command said so.
ok() {
    what=$1
    shift
    checks=$((checks + 1))
    "$@" >"$work/out" 2>&1 && return
    echo "not so: $what"
    cat "$work/out"
    failures=$((failures + 1))
}
said() {
    mv "$work/out" "$work/before"
    ok "$1" says "$2" "$work/before"
}
says() { # TEXT FILE
    grep -qF -e "$1" "$2" || { cat "$2"; return 1; }
}
make_one() { make --no-print-directory BUILD="$work/tree" CUDA=0 COMMIT=1 "$@" "$work/tree/base/parse.o" "$work/tree/base/version.o"; }
made() { stat -c %y "$work/tree/base/$1.o"; }
made_again() { # FILE ARGUMENT...: only then is the object compiled again
    before=$(made "$1") file=$1
    shift
    make_one "$@" >"$work/made" 2>&1 || { cat "$work/made"; return 1; }
    [ "$(made "$file")" != "$before" ]
}
not() { ! "$@"; }
makes_double() { make -n BUILD="$work/tree" CUDA=0 "$@" check-programs | grep -F "$work/tree/double"; }

# What the suite was built with is not what is tested.
make() { env -i PATH="$PATH" HOME="${HOME:-/}" make "$@"; }
ok "an object can be made" make_one
ok "the same flags make nothing again" not made_again parse
ok "another optimisation makes objects again" made_again parse OPT=-O1
ok "CPPFLAGS add to what is needed" made_again parse OPT=-O1 CPPFLAGS='-DA="b c" -DD'
ok "that is remembered" not made_again parse OPT=-O1 CPPFLAGS='-DA="b c" -DD'
ok "another machine makes objects again" made_again parse ARCH=x86-64
ok "another compiler makes objects again" made_again parse CC=gcc
ok "that warnings are errors makes nothing again" not made_again parse CC=gcc WERROR=1
ok "another linker flag makes nothing again" not made_again parse CC=gcc LDFLAGS=-Wl,-O1
ok "another commit makes no object again" not made_again parse CC=gcc COMMIT=2
ok "but the version" made_again version CC=gcc COMMIT=3
ok "pictures can be left out" make WERROR=1 --no-print-directory BUILD="$work/tree" CUDA=0 CAIRO=0 "$work/tree/picture/render.o"
ok "and say so then" grep -q 'built without cairo' "$work/tree/picture/render.o"
mkdir -p "$work/tree/asan/base" && echo 'no rule' >"$work/tree/asan/base/parse.d"
ok "trees below are not read" make_one
ok "a blank in BUILD is refused" not make BUILD="$work/a b" programs
said "with a word" 'make cannot build in a folder with blanks in its name'
ok "the double is made" makes_double
ok "DOUBLE=0 leaves it out" not makes_double DOUBLE=0

# -o all: what is there is installed as it is.
make_to() { make --no-print-directory -o all BUILD="$build" COMMIT=1a2b DESTDIR="$work/it's a root" PREFIX=/u/p "$@"; }
ok "it installs" make_to install
ok "what can run" "$work/it's a root/u/p/bin/tpcoord" systems
version=$(sed -n 's/^#define TP_VERSION "\(.*\)"/\1/p' base/version.h)
for page in tpcoord tpmon; do
    ok "$page.1 has the version" says ".Os tp $version (1a2b)" "$work/it's a root/u/p/share/man/man1/$page.1"
done
for file in bash-completion/completions/tpcoord bash-completion/completions/tpmon zsh/site-functions/_tpcoord; do
    ok "$file is there" [ -s "$work/it's a root/u/p/share/$file" ]
done
ok "a config is there" [ -s "$work/it's a root/u/p/share/tp/configs/resnet.ini" ]
# As a user of the installed programs would paste it, in a folder of their own.
example() { (cd "$work" && "it's a root/u/p/bin/tpcoord" help plan | sed -n 's/^  \(.* plan .*resnet.ini.\{0,1\}\)$/\1/p'); }
paste() { (cd "$work" && eval "$(example) --set data.set=synthetic" | grep -q '^version difference'); }
ok "examples name it" [ -n "$(example)" ]
ok "and work elsewhere" paste
ok "it can be removed" make_to uninstall
ok "to the last file" [ -z "$(find "$work/it's a root" -type f)" ]

mkdir "$work/bin"
printf '#!/bin/sh\ntouch "%s/called"\nexit 1\n' "$work" | tee "$work/bin/apt-get" >"$work/bin/sudo"
chmod +x "$work/bin/apt-get" "$work/bin/sudo"
if command -v dpkg-query >/dev/null; then
    with_apt() { PATH="$work/bin:$PATH" "$@"; }
    ok "what is missing fails" not with_apt ./deps.sh --check dpkg no-such-package
    said "with its name" 'missing: no-such-package'
    ok "and nothing is installed" [ ! -e "$work/called" ]
    ok "what can be missing does not fail" with_apt ./deps.sh --try dpkg no-such-package
    ok "once that was tried" [ -e "$work/called" ]
    ok "what must be there does" not with_apt ./deps.sh dpkg no-such-package
fi

ok "tpcoord says the version" sh -c '"$1" --version | grep -qF "tpcoord $2 "' - "$build/tpcoord" "$version"
ok "tpmon says it" sh -c '"$1" --version | grep -qE "^tpmon $2( |$)"' - "$build/tpmon" "$version"
ok "so do plans and reports" sh -c '"$1" plan /dev/null --json - --set data.set=synthetic --set model.arch=mlp \
    --set pipeline.stages=1 --set device.backend=onednn | grep -qF "\"tp_version\": \"$2"' - "$build/tpcoord" "$version"
ok "CITATION.cff says it" says "version: $version" CITATION.cff
ok "NEWS says what is new in it" says "tp $version" NEWS

echo "$checks checks, $failures failed"
[ "$failures" -eq 0 ]
