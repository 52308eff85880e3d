#!/usr/bin/env bash
# Becomes tritonserver (exec) with the same flags on this machine and in a container.
#   TRITON_MODEL_REPOSITORY  folder of models
#   TRITON_CONTROL_TOKEN     secret that is required to load and unload models; or TRITON_CONTROL_TOKEN_FILE: its file
#   TRITON_ADDRESS           address to listen on, at TRITON_GRPC_PORT and TRITON_METRICS_PORT
#   TRITON_LOAD_MODELS       names to load at start, separated by spaces (optional)
#   TRITON_SERVER, TRITON_BACKENDS, TRITON_EXIT_TIMEOUT_S, TRITON_LOG_VERBOSE  (optional)
set -euo pipefail
: "${TRITON_MODEL_REPOSITORY:?set it to the folder of models}"
[[ -z ${TRITON_CONTROL_TOKEN_FILE:-} ]] || TRITON_CONTROL_TOKEN=$(<"$TRITON_CONTROL_TOKEN_FILE")
: "${TRITON_CONTROL_TOKEN:?set it to the secret that is required to load and unload models}"

# A killed server leaves the shared memory of its stubs behind. The port makes the prefix unique to this server.
shm_prefix="driftloop_${TRITON_GRPC_PORT}_"
rm -f "/dev/shm/$shm_prefix"*

# These calls run code, write files or map memory, so they require the secret in the header
# triton-grpc-protocol-driftloop-control.
locked="model-repository,shared-memory,trace,logging:driftloop-control=$TRITON_CONTROL_TOKEN"
export TRITON_LOCKED="--grpc-restricted-protocol=$locked"
forwarded='^(traceparent|tracestate)$'

options=()
[[ -n ${TRITON_BACKENDS:-} ]] && options+=("--backend-directory=$TRITON_BACKENDS")
for model in ${TRITON_LOAD_MODELS:-}; do options+=("--load-model=$model"); done

# No HTTP: one request in chunks of a byte ends Triton up to 25.06 (CVE-2025-23310, CVE-2025-23311).
exec python3 -IS "$(dirname "$0")/hidden_argument.py" TRITON_LOCKED "${TRITON_SERVER:-tritonserver}" "${options[@]}" \
    --model-repository="$TRITON_MODEL_REPOSITORY" \
    --model-control-mode=explicit \
    --disable-auto-complete-config \
    --backend-config="python,shm-region-prefix-name=$shm_prefix" \
    --grpc-address="$TRITON_ADDRESS" --grpc-port="$TRITON_GRPC_PORT" \
    --allow-http=false --allow-sagemaker=false --allow-vertex-ai=false \
    --metrics-address="$TRITON_ADDRESS" --metrics-port="$TRITON_METRICS_PORT" --allow-gpu-metrics=false \
    --grpc-header-forward-pattern="$forwarded" \
    --log-verbose="${TRITON_LOG_VERBOSE:-0}" \
    --exit-timeout-secs="${TRITON_EXIT_TIMEOUT_S:-10}"
