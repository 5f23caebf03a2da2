#!/bin/sh
# Documents must not rot: in those that $documents lists, every fenced block that begins with "$ tpcoord" is what that
# command prints, runs of spaces aside, where need be with tpmon behind it. The example of a network in docs/networks.md can be read. In docs/systems.md, the
# table under "Side by side" is what `tpcoord plan` says for the keys of each row, every system of `tpcoord systems` has a
# page, and rows that name a system and its rules for forward, backward and update name those.
# Usage: TP_BUILD=build tests/test_docs.sh
set -u
build=$(cd "${TP_BUILD:-build}" && pwd) && cd "$(dirname "$0")/.." || exit 1
document=docs/systems.md
documents="$document docs/networks.md docs/glossary.md docs/start.md docs/labs.md"
grids_least=8
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# The document's plans are of a machine without a GPU.
mkdir "$work/bin" && cat >"$work/bin/tpcoord" <<END
#!/bin/sh
case \$1 in systems | network | explain | help) ;; *) set -- "\$@" --set device.backend=onednn ;; esac
exec "$build/tpcoord" "\$@"
END
chmod +x "$work/bin/tpcoord" && ln -s "$build/tpmon" "$work/bin/tpmon"
PATH=$work/bin:$PATH

# Command n, and what a block says that it prints, go to n.command and n.expected. A command may go on behind a backslash.
# Pictures are drawn beside them.
# shellcheck disable=SC2086 # names
awk -v work="$work" '
    /^```/ { open = !open; block = ""; next }
    open && sub(/^\$ tpcoord /, "tpcoord ") {
        block = work "/" ++blocks
        command = 1
        printf "" > (block ".expected")
    }
    block == "" { next }
    command { sub(/--svg docs\//, "--svg " work "/"); gsub(/lab[0-9]\.tprec/, work "/&"); print > (block ".command"); command = /\\$/; next }
    { print > (block ".expected") }
' $documents

squeeze() {
    sed 's/  */ /g; s/ $//' "$1"
}

# What a picture consists of, but for letters, which are other fonts' elsewhere, and the places that follow from their widths.
shapes() {
    sed '1,/<\/defs>/d' "$1" | grep '^<path\|^<rect' | sed 's/ d="[^"]*"//; s/ [xywh][a-z]*="[^"]*"//g'
}

# Each takes a moment: as many at a time as there are cores.
find "$work" -name '*.command' -print0 |
    xargs -0 -P "$(nproc)" -I '{}' sh -c 'sh "$1" >"${1%.command}.printed" 2>&1 </dev/null' sh '{}'

pictures=0 grids=0 others=0 rows=0 failures=0
for command in "$work"/*.command; do
    [ -e "$command" ] || break
    block=${command%.command}
    if grep -q 'built without cairo' "$block.printed"; then
        echo "not drawn: $(cat "$command")"
        continue
    fi
    squeeze "$block.printed" >"$block.actual"
    squeeze "$block.expected" >"$block.wanted"
    if ! diff "$block.wanted" "$block.actual" >"$block.difference"; then
        echo "a document (<) is not what this prints (>): $(cat "$command")"
        cat "$block.difference"
        failures=$((failures + 1))
    elif grep -q -e --grid "$command"; then
        grids=$((grids + 1))
    else
        others=$((others + 1))
    fi
done

for picture in "$work"/*.svg; do
    [ -e "$picture" ] || continue
    shapes "$picture" >"$work/drawn"
    shapes "docs/$(basename "$picture")" >"$work/kept"
    if [ -s "$work/drawn" ] && cmp -s "$work/drawn" "$work/kept"; then
        pictures=$((pictures + 1))
    else
        echo "docs/$(basename "$picture") is not what its command draws"
        failures=$((failures + 1))
    fi
done

# "v|versions|in flight|idle" as the plan on standard input has them.
plan_row() {
    awk '
        /^version difference/ { v = idle = $0; sub(/.*simulated /, "", v); sub(/;.*/, "", v)
                                sub(/.*bubble: /, "", idle); sub(/ .*/, "", idle) }
        /^stage /             { stages = sub(/in flight/, "in-flight")
                                for (k = 1; k <= NF; k++) column[$k] = k }
        /^versions,/          { stages = 0 }
        stages && $1 + 0 > 0  { versions = versions " " $column["versions"]
                                in_flight = in_flight " " $column["in-flight"] }
        END                   { print v "|" substr(versions, 2) "|" substr(in_flight, 2) "|" idle }
    '
}

grep '^| `[a-z_]*=' "$document" >"$work/rows"
while IFS='|' read -r _ keys v versions in_flight idle _; do
    set --
    for key in $(echo "$keys" | tr -d '`'); do
        set -- "$@" --set "pipeline.$key"
    done
    wanted=$(echo "$v|$versions|$in_flight|$idle" | sed 's/^ *//; s/ *$//; s/ *| */|/g')
    actual=$(tpcoord plan configs/resnet.ini --set pipeline.order=static "$@" </dev/null | plan_row)
    if [ "$wanted" = "$actual" ]; then
        rows=$((rows + 1))
    else
        echo "$document says $wanted for$keys; tpcoord plan says $actual"
        failures=$((failures + 1))
    fi
done <"$work/rows"

# "name|forward|backward|update rule" of each system, as the program has it and as rows of the document do.
tpcoord systems | awk '
    NF == 0 { exit }
    NR == 1 { column = index($0, "update rule"); next }
    { rule = substr($0, column); sub(/ .*/, "", rule); print $1 "|" $3 "|" $4 "|" rule }
' >"$work/systems"
sed -n '/^## Formulas/,/^## Side/d; s/^| `\([^`=]*\)` | `\([^`]*\)` | `\([^`]*\)` | `\([^`]*\)` |.*/\1|\2|\3|\4/p' "$document" >"$work/rules"
systems=0 rules=0
while IFS='|' read -r name _; do
    if grep -qx "## $name" "$document"; then
        systems=$((systems + 1))
    else
        echo "$document has no page on $name"
        failures=$((failures + 1))
    fi
done <"$work/systems"
while read -r row; do
    if grep -qxF "$row" "$work/systems"; then
        rules=$((rules + 1))
    else
        echo "$document says $row (system, forward, backward, update rule); tpcoord systems does not"
        failures=$((failures + 1))
    fi
done <"$work/rules"

# The example of docs/networks.md.
awk '/^```/ { open = !open; if (!open && found) exit; next } open && /^# A small network:/ { found = 1 } found' \
    docs/networks.md >"$work/example.net"
if ! tpcoord network "$work/example.net" >/dev/null; then
    echo "the example of docs/networks.md is no network"
    failures=$((failures + 1))
fi

echo "$grids grids, $pictures pictures, $others other blocks, $rows rows of numbers, $rules of rules and $systems pages agree," \
    "$failures do not"
[ "$failures" -eq 0 ] && [ "$grids" -ge "$grids_least" ] && [ "$rows" -gt 0 ] && [ "$rules" -gt 0 ] &&
    [ "$systems" -gt 0 ]
