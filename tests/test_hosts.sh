#!/bin/sh
# Hosts that tests/hosts.sh makes share nothing by accident, are as fast as was asked for, go when they are told to, and leave
# nothing. Where there is MPI, a plain MPI program runs on them.
# Usage: TP_BUILD=build tests/test_hosts.sh
set -u
build=${TP_BUILD:-build}
cd "$(dirname "$0")/.." || exit 1
hosts=$PWD/tests/hosts.sh

# Outside: makes the hosts, and looks at what is left of them.
if [ -z "${TP_HOSTS:-}" ]; then
    work=$(mktemp -d "$build/hosts.XXXXXX") && work=$(cd "$work" && pwd) || exit 1
    trap 'rm -rf "$work"' EXIT
    command -v mpicc >/dev/null && mpicc -o "$work/pingpong" bench/pingpong.c
    "$hosts" --rate 100mbit 3 "$PWD/tests/test_hosts.sh" "$work"
    status=$?
    [ $status -eq 0 ] || exit $status
    "$hosts" 2 sh -c 'exit 42'
    [ $? -eq 42 ] || { echo "not so: the command's exit status is the hosts'"; exit 1; }
    # The seconds are a mark by which a process on the other host is found.
    seconds=27182$$
    mkfifo "$work/begun"
    "$hosts" 2 sh -c "\$TP_HOSTS_SH --on b 'sleep $seconds' & echo >'$work/begun'; wait" &
    read -r _ <"$work/begun"
    kill -KILL $!
    wait $! 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        pgrep -f "[s]leep $seconds" >/dev/null || exit 0
        sleep 0.1
    done
    echo "not so: nothing is left when hosts.sh is killed"
    exit 1
fi

work=$1 failures=0
on() { "$hosts" --on "$@"; }
ok() { # WHAT COMMAND...
    what=$1
    shift
    "$@" >"$work/out" 2>&1 && return
    echo "not so: $what"
    cat "$work/out"
    failures=$((failures + 1))
}
not() { ! "$@"; }

ok "names" [ "$(hostname) $(on b hostname) $(on c hostname)" = "a b c" ]
for folder in /dev/shm /tmp /run; do
    touch "$folder/tp-hosts-$$"
    ok "$folder is each host's own" not on b "test -e $folder/tp-hosts-$$"
    ok "$folder can be written there" on b "touch $folder/b"
    rm "$folder/tp-hosts-$$"
done
ok "b reads what a has" on b "test -r '$hosts'"
ok "b cannot write it" not on b "touch '$work/b'"
# shellcheck disable=SC2016 # for the shell on b
ok "b sees its own processes alone" on b 'test $(ls -d /proc/[0-9]* | wc -l) -lt 8'
ok "an unknown host is refused" not on z true

# Plain MPI: each rank on its host, and no faster than the cable.
ranks() { # HOST WORD...
    host=$1
    shift
    timeout -k 1 60 mpirun --allow-run-as-root --bind-to none --host "a:1,$host:1" -n 2 "$@" </dev/null
}
if [ -x "$work/pingpong" ] && command -v mpirun >/dev/null; then
    ok "mpirun starts ranks on both" ranks b hostname
    ok "each on its host" [ "$(grep "^.$" "$work/out" | sort | tr '\n' ' ')" = "a b " ]
    # Each may go on at once for the 128 KiB of a burst.
    ok "messages go to and fro" ranks c "$work/pingpong" 10000000 1
    rate=$(sed -n 's/^[0-9.]* \([0-9]*\)[0-9.]*$/\1/p' "$work/out")
    ok "no faster than 100 Mbit/s" [ "${rate:-1000}" -le 105 ]
fi

# Where tp has nodes it measures what the cables carry, and predicts with that.
if [ -x "$build/tpnode" ] && command -v mpirun >/dev/null; then
    ok "cables are measured" "$build/tpcoord" plan configs/resnet.ini --set model.arch=mlp --set data.set=synthetic \
        --set data.limit=320 --set pipeline.stages=3 --set simulation.forward_ms=1 --set simulation.backward_ms=2 \
        --set simulation.update_ms=0 --hosts a,b,c --simulate --json "$work/plan.json"
    cp "$work/out" "$work/table"
    ok "they are shown" grep '^  1-2 .*  a - b: [0-9.]* Mbit/s, [0-9.]* us$' "$work/table"
    measured=$(sed -n 's/ *"measured_mbit": \([0-9]*\).*/\1/p' "$work/plan.json")
    ok "each link's" [ "$(echo "$measured" | wc -w)" -eq 2 ]
    # What a busy machine leaves of 100 Mbit/s, and what bursts add.
    for mbit in $measured; do
        ok "$mbit is at least 50" [ "$mbit" -ge 50 ]
        ok "$mbit is at most 110" [ "$mbit" -le 110 ]
    done
fi

# A dead cable has no carrier.
plugged_in() { on b ip link show eth0 | grep -q LOWER_UP; }
ok "b is plugged in" plugged_in
ok "cut" "$hosts" --cut b
ok "b's cable is dead" not plugged_in
ok "mend" "$hosts" --mend b
ok "b is plugged in again" plugged_in
ok "off" "$hosts" --off c
ok "c has no processes" not on c true
[ $failures -eq 0 ]
