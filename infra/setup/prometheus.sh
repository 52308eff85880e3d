#!/usr/bin/env bash
# Prometheus from Debian's package, unpacked and not installed: no service starts, no account is made.
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
