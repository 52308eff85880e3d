#!/usr/bin/env bash
# Runs an S3 server in memory on S3_PORT of this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec .local/s3/bin/moto_server -H 127.0.0.1 -p "$S3_PORT"
