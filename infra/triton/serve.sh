#!/usr/bin/env bash
# Turns into tritonserver, with the flags that it has everywhere: on this machine and in a container.
#   TRITON_MODEL_REPOSITORY  folder of models
#   TRITON_CONTROL_TOKEN     secret that loads and unloads models
#   TRITON_ADDRESS           address to listen on, at TRITON_GRPC_PORT, TRITON_HTTP_PORT, TRITON_METRICS_PORT
#   TRITON_LOAD_MODELS       names to load at start, separated by spaces (optional)
#   TRITON_SERVER, TRITON_BACKENDS, TRITON_EXIT_TIMEOUT_S, TRITON_LOG_VERBOSE  (optional)
set -euo pipefail
: "${TRITON_MODEL_REPOSITORY:?is the folder of models}"
: "${TRITON_CONTROL_TOKEN:?is the secret that loads and unloads models}"

# A killed server leaves its stubs' shared memory behind. The port makes the name ours alone.
shm_prefix="driftloop_${TRITON_GRPC_PORT}_"
rm -f "/dev/shm/$shm_prefix"*

# These calls run code, write files or map memory. By gRPC the secret goes in the header
# triton-grpc-protocol-driftloop-control, by HTTP in driftloop-control.
locked="model-repository,shared-memory,trace,logging:driftloop-control=$TRITON_CONTROL_TOKEN"
forwarded='^(traceparent|tracestate)$'

options=()
[[ -n ${TRITON_BACKENDS:-} ]] && options+=("--backend-directory=$TRITON_BACKENDS")
for model in ${TRITON_LOAD_MODELS:-}; do options+=("--load-model=$model"); done

exec "${TRITON_SERVER:-tritonserver}" "${options[@]}" \
    --model-repository="$TRITON_MODEL_REPOSITORY" \
    --model-control-mode=explicit \
    --disable-auto-complete-config \
    --backend-config="python,shm-region-prefix-name=$shm_prefix" \
    --grpc-address="$TRITON_ADDRESS" --grpc-port="$TRITON_GRPC_PORT" \
    --http-address="$TRITON_ADDRESS" --http-port="$TRITON_HTTP_PORT" --http-thread-count=2 \
    --metrics-address="$TRITON_ADDRESS" --metrics-port="$TRITON_METRICS_PORT" --allow-gpu-metrics=false \
    --grpc-restricted-protocol="$locked" \
    --http-restricted-api="$locked" \
    --grpc-header-forward-pattern="$forwarded" \
    --http-header-forward-pattern="$forwarded" \
    --log-verbose="${TRITON_LOG_VERBOSE:-0}" \
    --exit-timeout-secs="${TRITON_EXIT_TIMEOUT_S:-10}"
