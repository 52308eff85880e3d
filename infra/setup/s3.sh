#!/usr/bin/env bash
# Installs an S3 server into an environment of its own, for tests of the stores in a bucket.
set -euo pipefail
.local/bootstrap/bin/uv venv -q --clear --python "$PYTHON" .local/s3
.local/bootstrap/bin/uv pip install -q --require-hashes --python .local/s3/bin/python -r requirements-s3.lock
