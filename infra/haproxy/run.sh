#!/usr/bin/env bash
# Starts HAProxy in the foreground, with the settings in the file HAPROXY_FILE.
set -euo pipefail
if ! command -v haproxy >/dev/null; then
    echo "HAProxy is not installed: run make setup CLUSTER=1" >&2
    exit 1
fi
exec haproxy -W -db -f "$HAPROXY_FILE"
