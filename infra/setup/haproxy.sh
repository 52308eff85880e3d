#!/usr/bin/env bash
# Installs HAProxy, which connects clients with the instance that works.
set -euo pipefail
source infra/setup/apt.sh
command -v haproxy >/dev/null || install_missing haproxy
