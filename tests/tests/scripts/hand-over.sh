#!/bin/sh
# A lease that is held across commands, and handed over: each step belongs to whoever the last one left it to.
set -eu
export LEASE_HOLDER="$POD"

token=$(lease acquire "$NAME" --ttl 60s)
if lease renew "$NAME" --holder somebody-else 2>/dev/null; then exit 90; fi
if lease release "$NAME" --holder somebody-else 2>/dev/null; then exit 91; fi
[ "$(lease acquire "$NAME" --ttl 60s)" -ge "$token" ]
lease renew "$NAME" >/dev/null
lease status "$NAME" --quiet

# The next one waits before it is free, and has it afterwards.
lease acquire "$NAME" --holder "$POD-next" --ttl 60s --wait --timeout 60s >"$PLACE/next" &
code=0
lease acquire "$NAME" --holder "$POD-third" --timeout 0 2>/dev/null || code=$?
[ "$code" -eq 3 ] || [ "$code" -eq 5 ]
lease release "$NAME" >/dev/null
wait $!
[ "$(cat "$PLACE/next")" -gt "$token" ]

# Whoever has handed it over has nothing to say any more.
code=0
lease renew "$NAME" 2>/dev/null || code=$?
[ "$code" -eq 5 ]
lease release "$NAME" --holder "$POD-next" >/dev/null
code=0
lease status "$NAME" --quiet || code=$?
[ "$code" -eq 1 ]
