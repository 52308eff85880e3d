#!/usr/bin/env bash
# Installs the clients of docs/clients.md apart from Python: kcat, protoc and a JDK with apt, and its Go commands.
set -euo pipefail
source infra/setup/apt.sh

missing=()
command -v kcat >/dev/null || missing+=(kcat)
command -v protoc >/dev/null || missing+=(protobuf-compiler)
command -v javac >/dev/null || missing+=(openjdk-17-jdk-headless)
install_missing "${missing[@]}"

command -v go >/dev/null || {
    echo "Go is missing; install Go 1.25 or newer (the package of Debian 12 is too old)" >&2
    exit 1
}
source infra/setup/go.sh
lines=$(grep -E '^go (install|get) ' docs/clients.md | sort -u)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
go mod init clients 2>/dev/null
bash -euo pipefail <<<"$lines"
go build google.golang.org/grpc
