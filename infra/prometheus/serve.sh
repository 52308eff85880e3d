#!/bin/sh
# Turns into Prometheus, on this machine and in a container alike.
#   PROMETHEUS_DIR, PROMETHEUS_PORT  its data and its port; the ports that it scrapes have .env's names
#   ALERTMANAGERS  where alerts are sent, HOST:PORT[, HOST:PORT]; unset, they are only shown
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export PROMETHEUS_RULES="$here/rules" ALERTMANAGERS="${ALERTMANAGERS:-}"
mkdir -p "$PROMETHEUS_DIR"
awk '{
    while (match($0, /@[A-Z_]+@/)) {
        name = substr($0, RSTART + 1, RLENGTH - 2)
        $0 = substr($0, 1, RSTART - 1) ENVIRON[name] substr($0, RSTART + RLENGTH)
    }
    print
}' "$here/prometheus.yml.in" >"$PROMETHEUS_DIR/prometheus.yml"
exec prometheus --config.file="$PROMETHEUS_DIR/prometheus.yml" --storage.tsdb.path="$PROMETHEUS_DIR/data" \
    --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" --log.level=warn
