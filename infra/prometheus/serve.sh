#!/bin/sh
# Renders the settings and becomes Prometheus (exec), on this machine or in a container.
#   PROMETHEUS_DIR, PROMETHEUS_PORT  its data folder and port; the scraped ports have the names of .env
#   ALERTMANAGERS  receivers of alerts, HOST:PORT[, HOST:PORT]; if unset, alerts are only shown
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
