#!/bin/sh
# A migration that takes a while, and writes down when it begins, that it goes on, and when it ends. It does not stop when
# it is told to: it has to be killed.
trap 'write told' TERM

write() {
    read -r up _ </proc/uptime
    echo "$1 $POD $LEASE_TOKEN $up" >>"$JOURNAL"
}

write begin
echo $$ >"$PLACE/$POD.program"
i=0
while [ "$i" -lt "${STEPS:-10}" ]; do
    sleep 0.1
    write goes-on
    i=$((i + 1))
done
write end
