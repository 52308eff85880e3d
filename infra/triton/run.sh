#!/usr/bin/env bash
# Starts Triton on this machine, in the foreground, so it receives signals. Ports: from the environment or .env; other
# variables: see serve.sh.
#   TRITON_PYTHONPATH  folders that models may import from, separated by colons
set -euo pipefail
# shellcheck source=infra/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

home=$ROOT/.local/triton
export TRITON_SERVER=$home/server/pytriton/tritonserver/bin/tritonserver
export TRITON_BACKENDS=$home/backends
export TRITON_ADDRESS=${TRITON_ADDRESS:-127.0.0.1}
if [[ ! -x $TRITON_SERVER ]]; then
    echo "Triton is not installed: run make setup" >&2
    exit 1
fi

# The stub embeds Python: it finds its environment by PATH and its libpython by LD_LIBRARY_PATH.
export PATH=$home/env/bin:$PATH
export PYTHONPATH=${TRITON_PYTHONPATH:-}
export LD_LIBRARY_PATH=$home/lib:$home/server/nvidia_pytriton.libs
exec bash "$ROOT/infra/triton/serve.sh"
