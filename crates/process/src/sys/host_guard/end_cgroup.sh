# Waits for the end of the host, then kills the control group $1 and removes it.
while read -r _; do :; done <&3
round=0
while [ -d "$1" ] && [ "$round" -lt 200 ]; do
    # Kernels before 5.14 cannot kill a group as a whole, and none of them kills a process whose
    # first thread has ended. So each member is killed by its id, too.
    echo 1 >"$1/cgroup.kill"
    for list in "$1"/*/*/cgroup.procs "$1"/*/*/*/cgroup.procs "$1"/*/*/*/*/cgroup.procs \
        "$1"/*/*/*/*/*/cgroup.procs; do
        while read -r pid; do kill -KILL "$pid"; done <"$list"
    done
    for group in "$1"/*/*/*/*/*/ "$1"/*/*/*/*/ "$1"/*/*/*/ "$1"/*/*/ "$1"/*/ "$1"/; do
        [ -d "$group" ] && rmdir "$group"
    done
    round=$((round + 1))
    [ -d "$1" ] && sleep 0.05
done
