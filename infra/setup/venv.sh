#!/usr/bin/env bash
# Installs the main environment exactly as in requirements.lock.
# TORCH_BACKEND=cpu: all packages by hash except torch and CUDA, then the same torch from uv's index for that backend.
set -euo pipefail
uv=.local/bootstrap/bin/uv
env=.local/venv
lock=requirements.lock

if [[ -n $TORCH_BACKEND ]]; then
    lock=.local/requirements-without-torch.lock
    awk '/^[a-z]/ { skip = /^(torch|triton)==|^(nvidia|cuda)-/ } !skip' requirements.lock >"$lock"
fi

[[ -x $env/bin/python ]] || "$uv" venv -q --python "$PYTHON" "$env"
"$uv" pip sync --python "$env/bin/python" --require-hashes --build-constraints requirements.lock "$lock"
if [[ -n $TORCH_BACKEND ]]; then
    torch=$(grep -oE '^torch==[0-9.]+' requirements.lock)
    "$uv" pip install --python "$env/bin/python" --no-deps --torch-backend "$TORCH_BACKEND" "$torch"
fi
rm -f .local/stamps/checkout # the sync removed the checkout from the environment
