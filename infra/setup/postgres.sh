#!/usr/bin/env bash
# Installs PostgreSQL, for tests of the services on it.
set -euo pipefail
source infra/setup/apt.sh
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || install_missing postgresql
