newline='
'
mark=$1
roots=' '
leaders=
while read -r pid; do
    [ -n "$pid" ] && roots="$roots$pid " leaders="$leaders $pid"
done <&4

# Sets all to "pid parent group session" of everybody who is alive, one a line. A name may hold
# anything, a newline included: a record ends with its many numbers, which no name has room for.
everybody() {
    stats=$(cat /proc/[0-9]*/stat)
    all=
    record=
    set -f
    IFS=$newline
    for line in $stats; do
        record=$record$line
        IFS=' '
        set -- ${record##*) }
        [ $# -ge 40 ] || continue
        pid=${record%% *}
        record=
        # A zombie with threads is one whose first thread has ended while others run on.
        [ "$1" = Z ] && [ "${18}" -le 1 ] && continue
        all="$all$pid $2 $3 $4$newline"
    done
    IFS=" $newline"
    set +f
}

# Sets found to those of the sessions and groups of roots, those marked, and the descendants of both.
look() {
    found=' '
    for path in $(grep -lF -- "$mark" /proc/[0-9]*/environ); do
        pid=${path#/proc/}
        found="$found${pid%/environ} "
    done
    everybody
    grown=1
    while [ $grown = 1 ]; do
        grown=0
        IFS=$newline
        for line in $all; do
            IFS=' '
            set -- $line
            case $found in *" $1 "*) continue ;; esac
            case $roots in
                *" $3 "* | *" $4 "*) found="$found$1 " grown=1; continue ;;
            esac
            case $found in *" $2 "*) found="$found$1 " grown=1 ;; esac
        done
        IFS=" $newline"
    done
}

# Sends the signal $1 to those found, and to the groups of the main programs as a whole: one that
# lives on in one process after another may not be met.
send() {
    for leader in $leaders; do kill "-$1" "-$leader"; done
    kill "-$1" $found
}

# Whether there is still a group of a main program.
grouped() {
    for leader in $leaders; do
        kill -0 "-$leader" && return 0
    done
    return 1
}

round=0
while [ $round -lt 50 ]; do
    look
    [ "$found" = ' ' ] && ! grouped && break
    # Parents may be gone the next time.
    roots="$roots${found# }"
    # Stopped first, so that none forks while the others die.
    send STOP
    look
    send KILL
    round=$((round + 1))
done
