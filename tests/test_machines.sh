#!/bin/sh
# A run on two hosts, which tests/hosts.sh makes: whatever is killed or cut off, it ends within seconds with a line that says
# so, leaves nothing on any host, and goes on from its newest checkpoint to the weights of a run on one machine.
# Usage: TP_BUILD=build tests/test_machines.sh        LONG=yes: each kind of process on each host (make hosts)
set -u
cd "$(dirname "$0")/.." && . tests/machines.sh
machines_begin 2 tests/test_machines.sh

# ends NAME SECONDS TEXT: the run in the background fails so soon, and says so
ends() {
    begun=$(date +%s%N)
    wait $coordinator
    status=$?
    took=$((($(date +%s%N) - begun) / 1000000))
    [ $status -eq 1 ] || wrong "$1: exit status $status is 1"
    [ $took -le $(($2 * 1000)) ] || wrong "$1: $took ms are at most $2 s"
    grep -q -e "^tpcoord: $3" "$work/$run.out" || { wrong "$1: it says \"$3\""; cat "$work/$run.out"; }
    nothing_is_left "$1"
    echo "$1: ended within $took ms: $(grep '^tpcoord: ' "$work/$run.out" | tail -1)"
}
# killed HOST PROGRAM SECONDS TEXT: once it trains
killed() {
    new "$2-$1" $epochs --hosts a:1,b:2
    trains
    kill -KILL "$(find_on "$1" "$2" | head -1)"
    ends "$run" "$3" "$4"
}

epochs=5 last=epoch-0005
new one $epochs
done_well "a run on one machine"
killed b tpnode 8 'the node on b (pid [0-9]*) was killed by signal 9 (Killed) in the middle of the run'
goes_on

# Asked to stop, in the middle of an epoch, it goes on with other stages on each host.
new stopped $epochs --hosts a:1,b:2 --set checkpoints.every=17
trains
kill -TERM $coordinator
wait $coordinator
[ $? -eq 3 ] || wrong "stopped: exit status 3"
[ -n "$(find "$work/stopped/checkpoints" -name 'epoch-*-minibatch-*')" ] || wrong "stopped: a checkpoint within an epoch"
nothing_is_left stopped
goes_on a:2,b:1

[ "$(tr -d ' \n' <"$work/stopped/checkpoints/$last/manifest.json" | grep -c '"hosts":\["a","a","b"\]')" -eq 1 ] ||
    wrong "stopped: its manifest has the hosts on which it went on"
grep -q 'before, it was on hosts a, b, b, by stage' "$work/stopped-on.out" || wrong "stopped: it says on which hosts it was before"

# Started by a user's own mpirun, one on each host: the first is the coordinator, the other a node.
under="mpirun --allow-run-as-root --bind-to none -n 2 --host a:1,b:1"
new joined $epochs --hosts a:1,b:2
done_well "a run within the user's mpirun"
[ "$(weights joined $last)" = "$(weights one $last)" ] || wrong "joined: it ends with the same weights"
nothing_is_left joined
new parted $epochs --hosts a:1,b:2
trains
kill -KILL "$(find_on b tpnode | head -1)"
wait $coordinator && wrong "parted: mpirun says that it failed"
nothing_is_left parted
new several $epochs
wait $coordinator && wrong "several: mpirun says that it failed"
[ "$(grep -c '^tpcoord: mpirun has started 2 of these; start one; or ' "$work/several.out")" -eq 1 ] ||
    { wrong "several: one line says what to do"; cat "$work/several.out"; }
nothing_is_left several
under=
run=parted
goes_on

new coordinator $epochs --hosts a:1,b:2
trains
kill -KILL $coordinator
wait $coordinator 2>/dev/null
nothing_is_left coordinator

new cut $epochs --hosts a:1,b:2
trains
"$hosts" --cut b
daemon=
ends cut 12 'machine a: nothing was heard of b for run.silence_seconds = 2 s'
daemon=orted
"$hosts" --mend b
nothing_is_left "cut and mended"

# What cannot begin says why.
new unknown $epochs --hosts a:1,nowhere:2
ends unknown 10 'launcher'
new nothing $epochs --hosts a:1,b:2 --launch no-such-launcher
ends nothing 5 'cannot start no-such-launcher: No such file or directory'
new useless $epochs --hosts a:1,b:2 --launch false
ends useless 5 'the launcher (pid [0-9]*) ended with exit status 1 before all stages were ready'
new elsewhere $epochs --hosts b:1,a:2
wait $coordinator
[ $? -eq 2 ] || wrong "elsewhere: exit status 2"
grep -q 'b comes first, and is not this machine' "$work/elsewhere.out" || wrong "elsewhere: it says which must be first"
[ -n "${LONG:-}" ] || machines_end

for run in cut coordinator; do
    goes_on
done
killed b tpstage 5 'stage [23] on b (pid [0-9]*) was killed by signal 9 (Killed)'
goes_on
killed a tpstage 5 'stage 1 on a (pid [0-9]*) was killed by signal 9 (Killed)'
goes_on
killed a tpnode 8 'the node on a (pid [0-9]*) was killed by signal 9 (Killed) in the middle of the run'
goes_on
killed a mpirun 8 'the launcher (pid [0-9]*) was killed by signal 9 (Killed)'
goes_on
killed b orted 15 'the launcher has lost the node on b in the middle of the run'
goes_on
new again $epochs --hosts a:1,b:2 --set run.restarts=1
trains
kill -KILL "$(find_on b tpstage | head -1)"
done_well "a run that starts again by itself"
[ "$(weights again $last)" = "$(weights one $last)" ] || wrong "again: it ends with the same weights"

# Its cable is dead from the beginning.
"$hosts" --cut b
new deaf $epochs --hosts a:1,b:2 --set run.stall_seconds=4
daemon=
ends deaf 15 'b has not joined the run for run.stall_seconds = 4 s'
daemon=orted
"$hosts" --mend b
nothing_is_left "deaf and mended"

# No power.
new off $epochs --hosts a:1,b:2
trains
"$hosts" --off b
wait $coordinator
[ $? -eq 1 ] || wrong "off: exit status 1"
grep '^tpcoord: ' "$work/off.out" | tail -1
grep -q -e 'nothing was heard of b' -e 'lost the node on b' "$work/off.out" || { wrong "off: it says who is gone"; cat "$work/off.out"; }
[ -z "$(for program in tpnode tpstage tpcoord mpirun; do pgrep -x $program; done; find /dev/shm -name 'tp-*')" ] || wrong "off: nothing is left"
machines_end
