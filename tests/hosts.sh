#!/bin/sh
# Several hosts on one machine, for tests: each has its own network, name, processes, /dev/shm, /tmp and /run, so that nothing
# is shared by accident, and a cable to a common switch. The command runs on the first of them, whose files are this
# machine's; the others can read those and write none: programs and data sets are there, a run's folder is not theirs.
#
# Hosts are namespaces, and live as long as the command. When it ends, or this script is killed in whatever way, the
# kernel ends every process on every host, and nothing is left to remove.
#
# Usage: tests/hosts.sh [--rate RATE] COUNT COMMAND...   RATE: of each cable, both ways, as tc has it: 1gbit, 100mbit
# The command finds the hosts' names in $TP_HOSTS, "a b c", Open MPI what it needs in OMPI_MCA_..., and the command this script
# in $TP_HOSTS_SH, for
#     --on HOST WORD...   give the words to a shell there, as ssh does: a launch agent for mpirun
#     --cut HOST          pull its cable; --mend HOST: plug it in again
#     --off HOST          no power: its cable is dead, and so are its processes
# Exit status: the command's; 2, wrong words; 77 where hosts cannot be made, with the reason.
set -u

self=$(cd "$(dirname "$0")" && pwd)/${0##*/}
state=/run/tp-hosts # on the first host, whose /run is its own

end() { # STATUS WORD...
    status=$1
    shift
    echo "hosts: $*" >&2
    exit "$status"
}

# The process that holds the namespaces of a host, or of the switch.
holder() {
    [ -n "${TP_HOSTS:-}" ] || end 2 "here are no hosts; $0 COUNT COMMAND... makes some"
    cat "$state/$1" 2>/dev/null || end 2 "there is no host \"$1\": $TP_HOSTS"
}

run_on() { # HOST WORD...
    pid=$(holder "$1") || exit
    shift
    [ "$pid" = 1 ] || exec nsenter -t "$pid" --net --uts --ipc --mount --pid --wd=/ sh -c "$*"
    exec sh -c "$*"
}

turn_port() { # HOST up|down
    holder "$1" >/dev/null && switch=$(holder switch) && nsenter -t "$switch" --net ip link set "port-$1" "$2"
}

# Frames leave at the rate, and 50 ms of them may wait. A burst holds less than a message.
plug_in() { # HOST PROCESS NUMBER
    ip link add "port-$1" netns "$switch" type veth peer name eth0 netns "$2" &&
        nsenter -t "$switch" --net ip link set "port-$1" master switch up &&
        nsenter -t "$2" --net sh -c "ip link set lo up && ip address add 10.77.0.$3/24 dev eth0 && ip link set eth0 up" &&
        if [ -n "$rate" ]; then
            nsenter -t "$switch" --net tc qdisc add dev "port-$1" root tbf rate "$rate" burst 128kb latency 50ms &&
                nsenter -t "$2" --net tc qdisc add dev eth0 root tbf rate "$rate" burst 128kb latency 50ms
        fi
}

# The tree whose folder another file system has just hidden: what this process works in is there as before.
show_tree() {
    mkdir -p "$tree" && mount --no-canonicalize --bind /proc/self/cwd "$tree" && mount -o remount,bind,ro "$tree"
}

# The first process of another host. It says its number where that host's makers can read it, and reaps what it adopts.
hold() { # HOST
    read -r pid rest </proc/self/stat
    tree=${self%/*/*}
    cd "$tree" || exit 1
    exec 9>"$state/$1.making"
    hostname "$1" && mount -t proc proc /proc && mount -o remount,bind,ro / || exit 1
    for folder in /dev/shm /tmp /run; do
        mount -t tmpfs -o mode=1777 tmpfs $folder || exit 1
        case $tree in "$folder"/*) show_tree || exit 1 ;; esac
    done
    echo "$pid" >&9
    exec 9>&- </dev/null
    while :; do
        sleep infinity &
        wait $!
    done
}

add_host() { # HOST NUMBER
    unshare --net --uts --ipc --mount --pid --fork "$self" --hold "$1" &
    until [ -s "$state/$1.making" ]; do
        kill -0 $! 2>/dev/null || end 77 "namespaces within namespaces cannot be made here"
        sleep 0.01
    done
    mv "$state/$1.making" "$state/$1"
    plug_in "$1" "$(cat "$state/$1")" "$2" || end 77 "host $1 cannot be plugged in; see above"
}

make_switch() {
    unshare --net sleep infinity &
    switch=$!
    until [ "$(readlink /proc/$switch/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do
        kill -0 $switch 2>/dev/null || end 77 "namespaces within namespaces cannot be made here"
        sleep 0.01
    done
    echo $switch >$state/switch
    nsenter -t $switch --net sh -c 'ip link add switch type bridge && ip link set switch up' ||
        end 77 "there are no bridges here"
}

make_first() {
    hostname a && mount -t tmpfs tmpfs /run && mkdir $state && echo 1 >$state/a || return 1
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm || return 1
    echo "127.0.0.1 localhost" >$state/names
    number=0
    for host in $TP_HOSTS; do
        number=$((number + 1))
        echo "10.77.0.$number $host" >>$state/names
    done
    mount --bind $state/names /etc/hosts
}

make_hosts() {
    make_first || end 77 "a host's own file systems cannot be mounted here"
    make_switch
    number=0
    for host in $TP_HOSTS; do
        number=$((number + 1))
        if [ "$host" = a ]; then
            plug_in a 1 1 || end 77 "host a cannot be plugged in; see above"
        else
            add_host "$host" $number
        fi
    done
}

case ${1:-} in
--on) [ $# -ge 3 ] || end 2 "usage: --on HOST WORD..."; shift; run_on "$@" ;;
--cut) turn_port "$2" down; exit ;;
--mend) turn_port "$2" up; exit ;;
--off) turn_port "$2" down && kill -KILL "$(holder "$2")"; exit ;;
--hold) hold "$2" ;;
esac

# Once more, as the first process of the first host, of whose process numbers those of the others are a part.
inside=
[ "${1:-}" != --inside ] || { inside=yes; shift; }
rate=
[ "${1:-}" != --rate ] || { rate=${2:-}; shift 2; }
case ${1:-} in
[2-9]) [ $# -ge 2 ] || end 2 "which command?" ;;
*) end 2 "usage: $0 [--rate RATE] COUNT COMMAND...; COUNT is 2 to 9" ;;
esac
if [ -z "$inside" ]; then
    for program in unshare nsenter ip tc; do
        command -v $program >/dev/null || end 77 "there is no $program here"
    done
    unshare --net --uts --ipc --mount --pid --fork true 2>/dev/null || end 77 "this user cannot make namespaces here"
    exec unshare --net --uts --ipc --mount --pid --mount-proc --fork --kill-child \
        "$self" --inside ${rate:+--rate "$rate"} "$@"
fi
export TP_HOSTS TP_HOSTS_SH="$self"
export OMPI_MCA_plm_rsh_agent="$self --on" OMPI_MCA_plm_rsh_no_tree_spawn=1 OMPI_MCA_pml=ob1 OMPI_MCA_btl=tcp,self
export OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0 OMPI_MCA_orte_tmpdir_base=/run
TP_HOSTS=$(echo a b c d e f g h i | cut -d ' ' -f "1-$1")
shift
make_hosts
"$@"
