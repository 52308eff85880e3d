#!/usr/bin/env bash
# Installs Ray into an environment of its own, for tests of runs that are Ray jobs.
set -euo pipefail
.local/bootstrap/bin/uv venv -q --clear --python "$PYTHON" .local/ray
.local/bootstrap/bin/uv pip install -q --require-hashes --python .local/ray/bin/python -r requirements-ray.lock
