#!/usr/bin/env bash
# Compiles every requirements*.in to its lock file, with hashes and without index addresses.
# Versions stay the same unless an .in file requires others; `make lock UPGRADE=1` chooses newer ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for source in requirements*.in; do
    options=()
    [[ $source == requirements-tritonserver.in ]] && options+=(--no-deps)
    [[ -n ${UPGRADE:-} ]] && options+=(--upgrade)
    .local/bootstrap/bin/uv pip compile -q --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "${options[@]}" \
        -o "${source%.in}.lock" "$source"
done
