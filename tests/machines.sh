# For tests of runs on several hosts; they source it at their beginning, with the number of hosts. A test then goes on in the
# first host of those that tests/hosts.sh makes, with a folder in $work, and ends with machines_end.
# shellcheck shell=sh

build=$(cd "${TP_BUILD:-build}" && pwd) || exit 1
hosts=$PWD/tests/hosts.sh failures=0

machines_begin() { # COUNT SCRIPT
    if [ -z "${TP_HOSTS:-}" ]; then
        [ -x "$build/tpnode" ] && command -v mpirun >/dev/null || { echo "skipped: there is no MPI here"; exit 77; }
        work=$(mktemp -d "$build/machines.XXXXXX") || exit 1
        trap 'rm -rf "$work"' EXIT
        WORK=$work TP_BUILD=$build "$hosts" "$1" "$PWD/$2"
        exit
    fi
    work=$WORK
}
machines_end() { exit $((failures > 0)); }

wrong() {
    echo "not so: $*"
    failures=$((failures + 1))
}

# start NAME WORD...: in the background, as $coordinator; its words are in $work/NAME.out. By what $under says, if anything.
under=
start() {
    name=$1
    shift
    # shellcheck disable=SC2086 # they are words
    $under "$build/tpcoord" configs/resnet.ini --set data.set=synthetic --set data.limit=3200 --set data.batch=32 \
        --set model.arch=mlp --set train.lr=0.001 --set device.backend=onednn --set pipeline.stages=3 \
        --set run.silence_seconds=2 --set run.stall_seconds=10 --set run.output="$work" --quiet "$@" >"$work/$name.out" 2>&1 </dev/null &
    coordinator=$!
}
new() { # RUN EPOCHS WORD...
    run=$1 epochs=$2
    shift 2
    rm -rf "${work:?}/$run"
    start "$run" --set run.name="$run" --epochs "$epochs" "$@"
}
done_well() { # WHAT
    wait $coordinator && return
    wrong "$1"
    cat "$work/$name.out"
}
weights() { (cd "$work/$1/checkpoints/$2" && cat ./*.safetensors | sha256sum) || echo "$1 has no $2"; }

trains() { # until a checkpoint is there
    for _ in $(seq 300); do
        [ ! -e "$work/$run/checkpoints/epoch-0001/manifest.json" ] || return 0
        sleep 0.05
    done
    wrong "$run: it trains"
    cat "$work/$run.out"
}

# Where it was ended, the run goes on, on hosts again, and ends with the weights of the run `one` on one machine.
goes_on() { # [HOSTS]
    start "$run-on" --resume="$work/$run" --epochs "$epochs" --hosts "${1:-a:1,b:2}"
    done_well "$run: it goes on"
    [ "$(weights "$run" "$last")" = "$(weights one "$last")" ] || wrong "$run: it ends with the same weights"
}

# The process numbers of this host are those of all; a host's own tell where a process is.
find_on() { # HOST PROGRAM
    for pid in $(pgrep -x "$2"); do
        [ "$(nsenter -t "$pid" --uts hostname)" = "$1" ] && echo "$pid"
    done
}

# Of tp, and of MPI. What cannot hear that its mpirun has gone, behind a dead cable, ends when the cable is mended.
daemon=orted
left() {
    for program in tpnode tpstage tpcoord mpirun $daemon; do
        pgrep -l -x "$program"
    done
    find /dev/shm -name 'tp-*'
    "$hosts" --on b 'find /dev/shm /tmp -name "tp-*"'
}
nothing_is_left() { # WHAT
    for _ in $(seq 150); do
        [ -n "$(left)" ] || return 0
        sleep 0.1
    done
    wrong "$1: nothing is left"
    left
}
