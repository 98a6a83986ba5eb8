# shellcheck shell=sh
# Prints the output of a build: colours, a line that is overwritten, and both streams.
printf '\033[1mBuilding 3 parts\033[0m\n'
for part in parser runner report; do
    printf '\033[32m   Compiling\033[0m %s\n' "$part"
    sleep 0.1
done
echo 'warning: report.c:41: unused variable "total"' >&2
# The order between two pipes is not known, unless one is read before the other is written to.
sleep 0.1
for n in 20 40 60 80 100; do
    printf '\r\033[36m     Testing\033[0m %3d of 100' "$n"
    sleep 0.1
done
printf '\n\033[32m    Finished\033[0m in 0.8 s\n'
