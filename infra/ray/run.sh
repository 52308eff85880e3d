#!/usr/bin/env bash
# Runs a Ray cluster of one node on this machine: its jobs' interface on RAY_PORT, files in RAY_FOLDER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export RAY_USAGE_STATS_ENABLED=0 RAY_DISABLE_IMPORT_WARNING=1
exec .local/ray/bin/ray start --head --block --port "$RAY_GCS_PORT" --dashboard-host 127.0.0.1 --dashboard-port "$RAY_PORT" \
    --min-worker-port 0 --max-worker-port 0 --num-cpus "${RAY_CPUS:-4}" --object-store-memory 80000000 --temp-dir "$RAY_FOLDER"
