#!/bin/sh
# What each pod of a deployment starts with: the migration, one pod at a time.
set -eu
exec lease run "$NAME" --ttl "${TTL:-10s}" --holder "$POD" -- "$SCRIPTS/migrate.sh"
