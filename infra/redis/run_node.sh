#!/usr/bin/env bash
# Starts one node of a Redis Cluster on loopback, in the foreground.
#   REDIS_DIR            folder of its data
#   REDIS_PORT           port for clients
#   REDIS_BUS_PORT       port for the other nodes
#   REDIS_PASSWORD_FILE  password of clients and nodes
set -euo pipefail
umask 077
if ! command -v redis-server >/dev/null; then
    echo "Redis is not installed: run make setup CLUSTER=1" >&2
    exit 1
fi
mkdir -p "$REDIS_DIR"
cd "$REDIS_DIR"
password=$(<"$REDIS_PASSWORD_FILE")
# A file, because other accounts can see the arguments of a process.
cat >redis.conf <<END
bind 127.0.0.1
port $REDIS_PORT
requirepass $password
masterauth $password
cluster-enabled yes
cluster-port $REDIS_BUS_PORT
cluster-node-timeout 2000
cluster-replica-validity-factor 0
repl-diskless-sync-delay 0
appendonly yes
save ""
maxmemory-policy noeviction
END
exec redis-server redis.conf
