#!/usr/bin/env bash
# Starts Triton in the foreground; signals reach it. Ports come from the environment or .env.
#   TRITON_MODEL_REPOSITORY  folder of models (required)
#   TRITON_CONTROL_TOKEN     secret that loads and unloads models (required)
#   TRITON_LOAD_MODELS       names to load at start, separated by spaces
#   TRITON_ADDRESS           loopback unless set
set -euo pipefail
# shellcheck source=infra/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

: "${TRITON_MODEL_REPOSITORY:?is the folder of models}"
: "${TRITON_CONTROL_TOKEN:?is the secret that loads and unloads models}"
address=${TRITON_ADDRESS:-127.0.0.1}
home=$ROOT/.local/triton
server=$home/server/pytriton/tritonserver/bin/tritonserver
if [[ ! -x $server ]]; then
    echo "Triton is not installed: run make setup" >&2
    exit 1
fi

# A killed server leaves its stubs' shared memory behind. The port makes the name ours alone.
shm_prefix="driftloop_${TRITON_GRPC_PORT}_"
rm -f "/dev/shm/$shm_prefix"*

# These calls run code, write files or map memory. By gRPC the secret goes in the header
# triton-grpc-protocol-driftloop-control, by HTTP in driftloop-control.
locked="model-repository,shared-memory,trace,logging:driftloop-control=$TRITON_CONTROL_TOKEN"

load=()
for model in ${TRITON_LOAD_MODELS:-}; do load+=("--load-model=$model"); done

export PATH=$home/env/bin:$PATH
PYTHONPATH=$(echo "$home"/env/lib/python3*/site-packages)${TRITON_PYTHONPATH:+:$TRITON_PYTHONPATH}
export PYTHONPATH
export LD_LIBRARY_PATH=$home/lib:$home/server/nvidia_pytriton.libs

exec "$server" \
    --model-repository="$TRITON_MODEL_REPOSITORY" \
    --backend-directory="$home/backends" \
    --backend-config="python,shm-region-prefix-name=$shm_prefix" \
    --model-control-mode=explicit "${load[@]}" \
    --disable-auto-complete-config \
    --grpc-address="$address" --grpc-port="$TRITON_GRPC_PORT" \
    --http-address="$address" --http-port="$TRITON_HTTP_PORT" --http-thread-count=2 \
    --metrics-address="$address" --metrics-port="$TRITON_METRICS_PORT" --allow-gpu-metrics=false \
    --grpc-restricted-protocol="$locked" \
    --http-restricted-api="$locked" \
    --grpc-header-forward-pattern='^(traceparent|tracestate)$' \
    --http-header-forward-pattern='^(traceparent|tracestate)$' \
    --exit-timeout-secs="${TRITON_EXIT_TIMEOUT_S:-10}"
