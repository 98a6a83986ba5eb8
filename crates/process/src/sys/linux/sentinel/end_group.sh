round=0
while [ -d "$1" ] && [ $round -lt 200 ]; do
    if ! echo 1 >"$1/cgroup.kill"; then
        for list in "$1"/*/cgroup.procs "$1"/*/*/cgroup.procs; do
            while read -r pid; do kill -KILL "$pid"; done <"$list"
        done
    fi
    for group in "$1"/*/*/*/*/*/ "$1"/*/*/*/*/ "$1"/*/*/*/ "$1"/*/*/ "$1"/*/ "$1"/; do
        [ -d "$group" ] && rmdir "$group"
    done
    round=$((round + 1))
    [ -d "$1" ] && sleep 0.05
done
