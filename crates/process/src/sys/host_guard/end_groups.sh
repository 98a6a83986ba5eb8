# Waits for the end of the host, then kills the process groups of its children, the descendants of
# their leaders, and each process whose environment holds the marker $1 or whose limit of file locks
# begins with the digits $2. The markers are empty where /proc cannot be used; only the groups are
# killed then.
marker=$1
locks=${2:-none}
groups=' '

# Takes the group $1 off the list.
forget() {
    case $groups in *" $1 "*) groups="${groups%%" $1 "*} ${groups#*" $1 "}" ;; esac
}

# Descriptor 3 ends with the host. Hosts without shared memory send their changes of the list there.
while read -r change; do
    case $change in
        +*) groups="$groups${change#+} " ;;
        -*) forget "${change#-}" ;;
    esac
done <&3
# Descriptor 4 is the list of hosts with shared memory: an id in each line, a line that begins with a
# minus, or a dot at the end. Group 1 would mean every process.
while read -r pid && [ "$pid" != . ]; do
    case $pid in '' | -* | 0 | 1) ;; *) groups="$groups$pid " ;; esac
done <&4

# Kills the groups on the list. `kill` reaches a process that is being forked, too. A group without
# members is never signalled again: its number may soon belong to a stranger.
kill_groups() {
    for group in $groups; do kill -KILL "-$group" || forget "$group"; done
}

# Stops the processes $@ and their descendants, and adds them to `found`. A stopped process forks no
# more, and keeps its number until it is killed.
seize() {
    for pid; do
        case $found in *" $pid "*) continue ;; esac
        kill -STOP "$pid" || continue
        found="$found$pid "
        for list in proc/"$pid"/task/*/children; do
            children=
            read -r children <"$list"
            # shellcheck disable=SC2086 # a list of ids
            seize $children
        done
    done
}

# Kills the groups on the list and the descendants of their leaders.
end_listed() {
    found=' '
    # shellcheck disable=SC2086 # a list of ids
    [ -z "$marker" ] || seize $groups
    kill_found
    kill_groups
}

kill_found() {
    for pid in $found; do kill -KILL "$pid"; done
}

# Succeeds if process $1 has a marker. `read` skips the NUL bytes in an environment.
is_marked() {
    while read -r line; do
        case $line in "Max file locks"*" $locks"*) return 0 ;; esac
    done <"proc/$1/limits"
    while read -r line || [ "$line" ]; do
        case $line in *"$marker"*) return 0 ;; esac
    done <"proc/$1/environ"
    return 1
}

# Seizes the processes with a marker. `grep` only narrows the search down: it runs long enough for a
# number to pass to another process, so each is checked again right before it is stopped.
seize_marked() {
    set -- proc/[0-9]*/limits
    # shellcheck disable=SC2046 # paths without blanks; busybox needs -z to read beyond the first NUL
    [ -z "$tools" ] || set -- $(grep -lF -- " $locks" "$@") \
        $(grep -lzF -- "$marker" proc/[0-9]*/environ)
    for path; do
        pid=${path#proc/}
        pid=${pid%/*}
        is_marked "$pid" && seize "$pid"
    done
}

end_all() {
    round=0
    quiet=0
    # Two rounds in a row must find nothing: a process shows no environment in the middle of exec.
    while [ "$quiet" -lt 2 ] && [ "$round" -lt 40 ]; do
        round=$((round + 1))
        end_listed
        found=' '
        [ -z "$marker" ] || seize_marked
        kill_found
        quiet=$((quiet + 1))
        [ "$groups$found" = '  ' ] || quiet=0
        [ -z "$tools" ] || sleep 0.05
    done
}

# A shell that cannot fork exits (bash after 15 s of trying). The tree itself may have taken all
# processes that its user may have. The groups are killed by then; the rest is found with builtins
# alone, which takes longer. So it is where there is no grep, or none that runs: a busybox without
# /proc cannot execute its own.
tools=
end_listed
trap 'tools=; end_all' EXIT
echo runs | grep -q runs && tools=1
end_all
trap - EXIT
