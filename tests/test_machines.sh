#!/bin/sh
# A run on two hosts, which tests/hosts.sh makes: its weights are those of a run on one machine, bit for bit; whatever is
# killed or cut off, it ends within seconds with a line that says so, leaves nothing on any host, and goes on from its newest
# checkpoint to the same weights.
# Usage: TP_BUILD=build tests/test_machines.sh        KILLS=100 SEED=1: so many more, at random (make hosts)
set -u
build=$(cd "${TP_BUILD:-build}" && pwd) && cd "$(dirname "$0")/.." || exit 1
hosts=$PWD/tests/hosts.sh

if [ -z "${TP_HOSTS:-}" ]; then
    [ -x "$build/tpnode" ] && command -v mpirun >/dev/null || { echo "skipped: there is no MPI here"; exit 77; }
    work=$(mktemp -d "$build/machines.XXXXXX") || exit 1
    trap 'rm -rf "$work"' EXIT
    TP_BUILD=$build "$hosts" 2 "$PWD/tests/test_machines.sh" "$work"
    exit
fi

work=$1 failures=0
export OMPI_MCA_plm_rsh_agent="$hosts --on" OMPI_MCA_plm_rsh_no_tree_spawn=1 OMPI_MCA_pml=ob1 OMPI_MCA_btl=tcp,self
export OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0
common="--set data.set=synthetic --set data.limit=4800 --set data.batch=32 --set model.arch=mlp --set pipeline.stages=3
    --set train.lr=0.001 --set run.silence_seconds=2 --set device.backend=onednn --set run.output=$work --quiet"

wrong() {
    echo "not so: $*"
    failures=$((failures + 1))
}

# start NAME WORD...: in the background, its words in $work/NAME.out
start() {
    name=$1
    shift
    # shellcheck disable=SC2086 # they are words
    "$build/tpcoord" configs/resnet.ini $common "$@" >"$work/$name.out" 2>&1 </dev/null &
    coordinator=$!
}
new() { # NAME EPOCHS WORD...
    run=$1 epochs=$2
    shift 2
    start "$run" --set run.name="$run" --epochs "$epochs" "$@"
}
weights() { (cd "$work/$1/checkpoints/$2" && cat ./*.safetensors | sha256sum); }

# The process numbers of this host are those of all; a host's own tell where a process is.
find_on() { # HOST PROGRAM
    for pid in $(pgrep -x "$2"); do
        [ "$(nsenter -t "$pid" --uts hostname)" = "$1" ] && echo "$pid"
    done
}
# Of tp, and of MPI: what cannot hear that its mpirun has gone, behind a dead cable, ends when the cable is mended.
daemon=orted programs="tpnode tpstage tpcoord mpirun"
left() {
    for program in $programs $daemon; do
        pgrep -l -x $program
    done
    find /dev/shm -name 'tp-*'
    "$hosts" --on b 'find /dev/shm /tmp -name "tp-*"'
}
nothing_is_left() {
    for _ in $(seq 150); do
        [ -n "$(left)" ] || return 0
        sleep 0.1
    done
    wrong "$1: nothing is left"
    left
}

# ends NAME SECONDS TEXT: the run in the background fails so soon, and says so
ends() {
    begun=$(date +%s%N)
    wait $coordinator
    status=$?
    took=$((($(date +%s%N) - begun) / 1000000))
    [ $status -eq 1 ] || wrong "$1: exit status $status is 1"
    [ $took -le $(($2 * 1000)) ] || wrong "$1: $took ms are at most $2 s"
    grep -q -e "$3" "$work/$run.out" || { wrong "$1: it says \"$3\""; cat "$work/$run.out"; }
    nothing_is_left "$1"
    echo "$1: ended within $took ms: $(grep '^tpcoord: ' "$work/$run.out" | tail -1)"
}
trains() { # until a checkpoint is there
    for _ in $(seq 300); do
        [ ! -e "$work/$run/checkpoints/epoch-0001/manifest.json" ] || return 0
        sleep 0.05
    done
    wrong "$run: it trains"
    cat "$work/$run.out"
}
# Where it was ended, it goes on, on both hosts again, and ends with the weights of the run on one machine.
goes_on() {
    start "$run-on" --resume="$work/$run" --epochs "$epochs" --hosts a:1,b:2
    wait $coordinator || { wrong "$run: it goes on"; cat "$work/$run-on.out"; }
    [ "$(weights "$run" "$last")" = "$whole" ] || wrong "$run: it ends with the same weights"
}

epochs=8 last=epoch-0008
new one $epochs
wait $coordinator || { wrong "a run on one machine"; cat "$work/one.out"; }
whole=$(weights one $last)
new two $epochs --hosts a:1,b:2
wait $coordinator || { wrong "a run on two"; cat "$work/two.out"; }
[ "$(weights two $last)" = "$whole" ] || wrong "the same weights on two machines as on one"
nothing_is_left "a run on two"

# killed HOST PROGRAM SECONDS TEXT: once it trains
killed() {
    new "$2-$1" $epochs --hosts a:1,b:2
    trains
    kill -KILL "$(find_on "$1" "$2" | head -1)"
    ends "$run" "$3" "$4"
}
killed b tpnode 8 'the launcher (pid [0-9]*) ended with exit status'
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
ends cut 12 'nothing was heard of b for run.silence_seconds = 2 s'
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
[ "${KILLS:-0}" -gt 0 ] || exit $((failures > 0))

killed b tpstage 5 'stage [23] on b (pid [0-9]*) was killed by signal 9 (Killed)'
goes_on
killed a tpstage 5 'stage 1 on a (pid [0-9]*) was killed by signal 9 (Killed)'
goes_on
killed a tpnode 8 'the launcher (pid [0-9]*) ended with exit status'
goes_on
killed a mpirun 8 'the launcher (pid [0-9]*) was killed by signal 9 (Killed)'
goes_on
killed b orted 15 'launcher\|nothing was heard'
goes_on

# At random: anything, at any time. A run that was too quick has the weights of a whole one.
echo "$KILLS kills, SEED=${SEED:=1}"
awk -v kills="$KILLS" -v seed="$SEED" 'BEGIN {
    split("b:tpstage a:tpstage b:tpnode a:tpnode a:mpirun b:orted a:tpcoord cut", whom, " ")
    srand(seed)
    for (k = 1; k <= kills; k++) printf "%s %.3f\n", whom[1 + int(rand() * 8)], 2.5 * rand()
}' >"$work/kills"
number=0
while read -r whom seconds; do
    number=$((number + 1))
    new "kill-$number" $epochs --hosts a:1,b:2
    sleep "$seconds"
    case $whom in
    cut) "$hosts" --cut b ;;
    *) victim=$(find_on "${whom%:*}" "${whom#*:}" | head -1) && [ -n "$victim" ] && kill -KILL "$victim" ;;
    esac
    for _ in $(seq 300); do
        kill -0 $coordinator 2>/dev/null || break
        sleep 0.1
    done
    kill -0 $coordinator 2>/dev/null && wrong "$run: $whom after $seconds s: it ends within 30 s"
    wait $coordinator 2>/dev/null
    [ "$whom" != cut ] || "$hosts" --mend b
    nothing_is_left "$run: $whom after $seconds s"
    echo "$run: $whom after $seconds s: $(grep '^tpcoord: ' "$work/$run.out" | tail -1)"
    [ ! -e "$work/$run/checkpoints/epoch-0001/manifest.json" ] || goes_on
    rm -rf "${work:?}/$run"
done <"$work/kills"
[ $failures -eq 0 ]
