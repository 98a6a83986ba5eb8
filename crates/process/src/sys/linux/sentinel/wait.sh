exec 3<&0 4<&1 0</dev/null 1>/dev/null
{
trap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU
while read -r line; do :; done <&3
