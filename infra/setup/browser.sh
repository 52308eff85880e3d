#!/usr/bin/env bash
# Installs Chromium, for the tests of the web page.
set -euo pipefail
source infra/setup/apt.sh
command -v chromium >/dev/null || install_missing chromium
