#!/usr/bin/env bash
# Debian packages for what is missing: Python 3.11 with venv and its shared library, Java, Maven; with BROWSER=1
# Chromium, too, for the tests of the web page; with POSTGRES=1 PostgreSQL, for the tests of services on it.
set -euo pipefail

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
if [[ -n ${BROWSER:-} ]] && ! command -v chromium >/dev/null; then missing+=(chromium); fi
if [[ -n ${POSTGRES:-} ]] && ! compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then missing+=(postgresql); fi
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo)
echo "missing: ${missing[*]}"
if ! { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}"; }; then
    echo "could not install them; as root: apt-get update && apt-get install ${missing[*]}" >&2
    exit 1
fi
