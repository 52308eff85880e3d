#!/usr/bin/env bash
# Installs Redis, for tests of the online store on it. The tests start their own servers.
set -euo pipefail
source infra/setup/apt.sh
command -v redis-server >/dev/null || install_missing redis-server
