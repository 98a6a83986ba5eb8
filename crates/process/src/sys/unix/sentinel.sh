exec 3<&0 0</dev/null 1>/dev/null 2>&1
{
trap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU
groups=' '
while read -r change; do
    group=${change#?}
    case $change in
        +*) groups="$groups$group " ;;
        -*)
            case $groups in
                *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;;
            esac
            ;;
    esac
done <&3
round=0
while [ "$groups" != ' ' ] && [ $round -lt 40 ]; do
    left=' '
    for group in $groups; do
        # Those that are being forked right now get it, too. None is left when nobody can get it.
        kill -KILL "-$group" && left="$left$group "
    done
    groups=$left
    round=$((round + 1))
    [ "$groups" = ' ' ] || sleep 0.05
done
} &
