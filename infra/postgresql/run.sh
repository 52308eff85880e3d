#!/usr/bin/env bash
# Starts PostgreSQL on this machine in the foreground. It refuses to run as root, so root starts it as the user postgres.
#   POSTGRES_DIR            folder of its data; the user postgres must be able to reach it
#   POSTGRES_PORT           port on loopback
#   POSTGRES_PASSWORD_FILE  password of the user driftloop, for the first start
set -euo pipefail
umask 077
programs=$(find /usr/lib/postgresql/*/bin -name initdb 2>/dev/null | sort -t/ -k5n | tail -1 | xargs -r dirname)
if [[ -z $programs ]]; then
    echo "PostgreSQL is not installed: run make setup CLUSTER=1" >&2
    exit 1
fi
as=()
if [[ $(id -u) == 0 ]]; then
    install -d -m 711 "$(dirname "$POSTGRES_DIR")"
    install -d -m 700 -o postgres -g postgres "$POSTGRES_DIR"
    as=(setpriv --reuid=postgres --regid=postgres --init-groups)
else
    mkdir -p "$POSTGRES_DIR"
fi
cd "$POSTGRES_DIR"
# Create under another name, then rename: an interrupted initdb leaves what cannot start.
if [[ ! -e data ]]; then
    "${as[@]}" rm -rf unfinished
    "${as[@]}" tee password <"$POSTGRES_PASSWORD_FILE" >/dev/null
    "${as[@]}" "$programs/initdb" --pgdata unfinished --username driftloop --auth scram-sha-256 --pwfile password \
        --no-locale --encoding UTF8 >&2
    "${as[@]}" rm password
    "${as[@]}" mv unfinished data
fi
exec "${as[@]}" "$programs/postgres" -D data -c "port=$POSTGRES_PORT" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c max_connections=400 -c shared_buffers=64MB
