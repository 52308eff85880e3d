#!/usr/bin/env bash
# Installs uv, which installs the rest, in a separate environment.
set -euo pipefail
"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "$PYTHON is not Python 3.11; run make setup PYTHON=/path/to/python3.11" >&2
    exit 1
}
"$PYTHON" -m venv --clear .local/bootstrap
.local/bootstrap/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes \
    -r requirements-bootstrap.lock
