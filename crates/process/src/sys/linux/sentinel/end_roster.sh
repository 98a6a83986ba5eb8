roots=' '
while read -r pid; do
    [ -n "$pid" ] && roots="$roots$pid "
done <&4

# Prints "pid parent group session" of everybody who is alive.
everybody() {
    for stat in /proc/[0-9]*/stat; do
        read -r line <"$stat" || continue
        pid=${line%% *}
        set -- ${line##*) }
        [ "$1" = Z ] || echo "$pid $2 $3 $4"
    done
}

# Sets found to those of the sessions and groups of roots, their descendants, and those marked.
look() {
    found=' '
    all=$(everybody)
    grown=1
    while [ $grown = 1 ]; do
        grown=0
        while read -r pid parent group session; do
            case $found in *" $pid "*) continue ;; esac
            case "$roots" in
                *" $group "* | *" $session "*) found="$found$pid " grown=1; continue ;;
            esac
            case $found in *" $parent "*) found="$found$pid " grown=1 ;; esac
        done <<END
$all
END
    done
    for path in $(grep -lF -- "$1" /proc/[0-9]*/environ); do
        pid=${path#/proc/}
        pid=${pid%/environ}
        case $found in *" $pid "*) ;; *) found="$found$pid " ;; esac
    done
}

round=0
while [ $round -lt 50 ]; do
    look "$1"
    [ "$found" = ' ' ] && break
    # Parents may be gone the next time.
    roots="$roots${found# }"
    # Stopped first, so that none forks while the others die.
    kill -STOP $found
    look "$1"
    kill -KILL $found
    round=$((round + 1))
done
