#!/usr/bin/env bash
# Unpacks Debian's Prometheus package without installing it, so no system service starts and no account is created.
set -euo pipefail
home=$ROOT/.local/prometheus
rm -rf "$home"
mkdir -p "$home"

as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo)
if ! (cd "$home" && apt-get download -q prometheus 2>/dev/null); then
    echo "no package list yet: apt-get update"
    "${as_root[@]}" apt-get update -q
    (cd "$home" && apt-get download -q prometheus)
fi
dpkg-deb -x "$home"/prometheus_*.deb "$home"
rm "$home"/prometheus_*.deb
