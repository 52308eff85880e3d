#!/usr/bin/env bash
# Installs missing Debian packages: Python 3.11 with venv and its shared library, Java, Maven.
set -euo pipefail
source infra/setup/apt.sh

libpython() {
    "$PYTHON" -c 'import os, sysconfig as s
print(os.path.join(s.get_config_var("LIBDIR"), "libpython3.11.so.1.0"))'
}

missing=()
if ! command -v "$PYTHON" >/dev/null; then
    missing+=(python3.11 python3.11-venv libpython3.11)
else
    "$PYTHON" -c 'import ensurepip' 2>/dev/null || missing+=(python3.11-venv)
    [[ -e $(libpython) ]] || missing+=(libpython3.11)
fi
command -v java >/dev/null || missing+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
install_missing "${missing[@]}"
