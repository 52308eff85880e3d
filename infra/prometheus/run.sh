#!/usr/bin/env bash
# Starts this machine's Prometheus in the foreground; signals reach it. Ports come from the environment or .env.
#   PROMETHEUS_DIR  folder of its data (var/prometheus unless set)
set -euo pipefail
# shellcheck source=infra/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
export PATH=$ROOT/.local/prometheus/usr/bin:$PATH
export PROMETHEUS_DIR=${PROMETHEUS_DIR:-$ROOT/var/prometheus}
if ! command -v prometheus >/dev/null; then
    echo "Prometheus is not installed: run make setup" >&2
    exit 1
fi
exec sh "$ROOT/infra/prometheus/serve.sh"
