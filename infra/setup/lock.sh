#!/usr/bin/env bash
# Compiles every requirements*.in into its lock, with hashes and without addresses.
# Versions stay where they are unless an .in file asks for others; `make lock UPGRADE=1` takes newer ones.
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
