#!/usr/bin/env bash
# Makes the checkout importable in the main environment, installs the command `driftloop`, and compiles the modules.
# Mode compat adds the checkout to the path, so a new package needs no new set-up.
set -euo pipefail
.local/bootstrap/bin/uv pip install -q --python .local/venv/bin/python \
    --no-deps --no-build-isolation -C editable_mode=compat --editable .
.local/venv/bin/python -m compileall -q driftloop services feature_repo loops
