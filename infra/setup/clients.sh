#!/usr/bin/env bash
# What docs/clients.md runs beside Python: kcat, protoc and a JDK by apt; the Go commands and modules that it names.
set -euo pipefail
source infra/setup/apt.sh

missing=()
command -v kcat >/dev/null || missing+=(kcat)
command -v protoc >/dev/null || missing+=(protobuf-compiler)
command -v javac >/dev/null || missing+=(openjdk-17-jdk-headless)
install_missing "${missing[@]}"

command -v go >/dev/null || {
    echo "Go is missing, and Debian 12's is too old: install Go 1.25 or newer" >&2
    exit 1
}
source infra/setup/go.sh
lines=$(grep -E '^go (install|get) ' docs/clients.md | sort -u)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
go mod init -q clients 2>/dev/null || go mod init clients 2>/dev/null
bash -euo pipefail <<<"$lines"
go build google.golang.org/grpc
