newline='
'
mark=$1

# Set if /proc shows another process namespace, where our numbers mean others.
foreign=
while read -r key first more; do [ "$key" = NSpid: ] && foreign=$more; done </proc/self/status

# Sets started to when the process started whose record $1 is, in hundredths of a second since the
# system did, or to nothing if there is none. With its id that names a process for ever: "id/started".
read_start() {
    set -f
    set -- ${1##*) }
    set +f
    started=${20}
}

# The same for the process $1.
born() {
    started=
    [ "$foreign" ] && return
    record=
    while read -r line; do record=$record$line; done <"/proc/$1/stat"
    read_start "$record"
}

# Nobody who is older than this shell comes from the engine.
born self
since=$started

# The main programs. Each is the first of a group and a session, whose number is taken for as long as
# anybody is in them; nothing follows the slash where the program has ended already.
groups=' '
while read -r pid; do
    [ -n "$pid" ] || continue
    born "$pid"
    groups="$groups$pid/$started "
done <&4
# These, and others found on the way that began a group or a session.
roots=$groups

# Sets all to "pid parent group session started becoming" of everybody who is alive, one a line, and
# present to everybody, zombies included. A name may hold anything, a newline included: a record ends
# with its many numbers, which no name has room for.
everybody() {
    if [ "$alone" ]; then
        stats=
        for path in /proc/[0-9]*/stat; do
            while read -r line; do stats=$stats$line$newline; done <"$path"
        done
    else
        stats=$(cat /proc/[0-9]*/stat)
    fi
    all=
    present=' '
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
        present="$present$pid/${20} "
        # A zombie with threads is one whose first thread has ended while others run on.
        [ "$1" = Z ] && [ "${18}" -le 1 ] && continue
        # One without an environment yet is becoming another program just now. Those that end, and
        # the kernel's own (4 and 2097152), have none any more.
        becoming=
        [ "${49}" = 0 ] && [ $(($7 & 2097156)) = 0 ] && becoming=1
        all="$all$pid $2 $3 $4 ${20} $becoming$newline"
    done
    IFS=" $newline"
    set +f
}

# Sets marked to those whose environment has the mark. A shell reads over the zero bytes in it.
mark_bearers() {
    marked=' '
    if [ "$alone" ]; then
        for path in /proc/[0-9]*/environ; do
            while read -r line || [ -n "$line" ]; do
                case $line in *"$mark"*) has_mark "$path"; break ;; esac
            done <"$path"
        done
    else
        for path in $(grep -lzF -- "$mark" /proc/[0-9]*/environ); do has_mark "$path"; done
    fi
}

has_mark() {
    pid=${1#/proc/}
    marked="$marked${pid%/environ} "
}

# Sets numbers to those of the roots, and forgets each that somebody else has by now.
number_roots() {
    numbers=' '
    theirs=' '
    for root in $roots; do
        case $present in
            *" $root "*) ;;
            *" ${root%/*}/"*) continue ;;
        esac
        theirs="$theirs$root "
        numbers="$numbers${root%/*} "
    done
    roots=$theirs
}

# Whether somebody, told by the first five fields of all, belongs to them.
belongs() {
    case $numbers in *" $3 "* | *" $4 "*) return 0 ;; esac
    case $marked in *" $1 "*) return 0 ;; esac
    case $known in *" $1/$5 "*) return 0 ;; esac
    case $pids in *" $2 "*) return 0 ;; esac
    return 1
}

# Sets found to those of the groups and sessions of roots, those marked, those known already, and the
# descendants of all of these. again tells that there is one to be looked at again: whoever started
# while this looks around may have come by the id of somebody who was looked at before, and one that
# is becoming another program shows no mark.
look() {
    # The present in the clock of starts, which the uptime of a container is not: who starts now has it.
    # A shell alone cannot start anybody, and takes nobody for too young.
    now=999999999999
    [ "$alone" ] || { read_start "$(cat /proc/self/stat)"; now=$started; }
    mark_bearers
    everybody
    number_roots
    found=' '
    pids=' '
    again=
    grown=1
    while [ $grown = 1 ]; do
        grown=0
        IFS=$newline
        for line in $all; do
            IFS=' '
            set -- $line
            case $pids in *" $1 "*) continue ;; esac
            if ! belongs "$@"; then
                [ "$6" ] && [ "$5" -ge "$since" ] && [ -r "/proc/$1/environ" ] && again=1
                continue
            fi
            [ "$5" -lt "$now" ] || { again=1; continue; }
            found="$found$1/$5 "
            pids="$pids$1 "
            grown=1
            [ "$1" = "$3" ] || [ "$1" = "$4" ] || continue
            case $roots in *" $1/$5 "*) ;; *) roots="$roots$1/$5 " ;; esac
        done
        IFS=" $newline"
    done
}

# Sends the signal $1 to the groups of the main programs as a whole: one that lives on in one process
# after another may not be met.
signal_groups() {
    for group in $groups; do
        born "${group%/*}"
        case $started in
            '' | "${group#*/}") kill "-$1" "-${group%/*}" ;;
        esac
    done
}

# Stops those that were found since the last time, and sets fresh to them. Whose id has passed to
# somebody else before that goes on, and is forgotten.
stop_fresh() {
    stopped=' '
    for one in $known; do
        case $present in
            *" $one "*) stopped="$stopped$one " ;;
            *" ${one%/*}/"*) kill -CONT "${one%/*}" ;;
        esac
    done
    fresh=' '
    for one in $found; do
        case $stopped in *" $one "*) ;; *) fresh="$fresh$one " ;; esac
    done
    known="$stopped${fresh# }"
    [ "$fresh" = ' ' ] && return
    signal_groups STOP
    for one in $fresh; do kill -STOP "${one%/*}"; done
}

# Kills those that were stopped before the last look, and so are who they were.
kill_stopped() {
    signal_groups KILL
    for one in $found; do
        case $fresh in *" $one "*) ;; *) kill -KILL "${one%/*}" ;; esac
    done
}

end_all() {
    round=0
    while [ $round -lt 20 ]; do
        round=$((round + 1))
        # All are stopped before one is killed, so that nobody forks while the others die.
        pass=0
        while [ $pass -lt 5 ]; do
            pass=$((pass + 1))
            look
            stop_fresh
            [ "$fresh" = ' ' ] && break
        done
        kill_stopped
        [ "$found" = ' ' ] && [ -z "$again" ] && break
    done
}

# A shell that cannot fork, since the tree itself may have taken all the processes that there may be,
# ends. Before it does, it looks around by itself, which takes it longer.
unable() {
    trap - EXIT
    alone=1
    IFS=" $newline"
    set +f
    end_all
    signal_groups KILL
}

# Nor has it another choice where it has no tools.
alone=
command -v cat && command -v grep || alone=1
known=' '
trap unable EXIT
[ "$foreign" ] || end_all
trap - EXIT
signal_groups KILL
