#!/usr/bin/env bash
# Starts Prometheus on this machine, in the foreground, so it receives signals. Ports: from the environment or .env.
#   PROMETHEUS_DIR  data folder (default: var/prometheus)
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
