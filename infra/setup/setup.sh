#!/usr/bin/env bash
# Installs everything that driftloop needs into .local. A step runs again only if its inputs have changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export ROOT=$PWD
export PYTHON=${PYTHON:-python3.11}
export TORCH_BACKEND=${TORCH_BACKEND:-}
BROWSER=${BROWSER:-}
POSTGRES=${POSTGRES:-}
REDIS=${REDIS:-}
CLIENTS=${CLIENTS:-}
S3=${S3:-}
RAY=${RAY:-}
CLUSTER=${CLUSTER:-}
[[ -z $CLUSTER ]] || POSTGRES=1 REDIS=1 S3=1
export UV_CACHE_DIR=${UV_CACHE_DIR:-$ROOT/.local/cache/uv}
export UV_PYTHON_DOWNLOADS=never
export UV_COMPILE_BYTECODE=1 # else every process compiles its imports, which doubles its start time

mkdir -p .local/stamps
exec 9>.local/setup.lock
flock 9

# step NAME TEXT INPUT...: run NAME.sh, unless it has run with the same inputs in the same folder.
step() {
    local name=$1 text=$2 key stamp=.local/stamps/$1 begin=$SECONDS
    shift 2
    key=$(cat "infra/setup/$name.sh" "$@" <(echo "$ROOT $TORCH_BACKEND") | sha256sum)
    if [[ -e $stamp && $(<"$stamp") == "$key" ]]; then return; fi
    echo "set-up: $text"
    if ! bash "infra/setup/$name.sh"; then
        echo "set-up stopped at '$name' ($text); fix the problem reported above, then run: make setup" >&2
        exit 1
    fi
    echo "$key" >"$stamp"
    echo "$SECONDS" >.local/setup_s
    echo "set-up: $name done in $((SECONDS - begin)) s"
}

step system "missing Debian packages" infra/setup/apt.sh
step bootstrap "the installer uv" requirements-bootstrap.lock
step venv "Python packages (about 3 GB, most of it torch with CUDA)" requirements.lock
step checkout "this checkout into the environment" pyproject.toml
step triton "Triton and its own environment (about 110 MB)" requirements-triton.lock requirements-tritonserver.lock
step kafka "Apache Kafka's jars (about 55 MB)" infra/kafka/pom.xml
step prometheus "Prometheus (about 20 MB)"
[[ -z $BROWSER ]] || step browser "Chromium" infra/setup/apt.sh
[[ -z $POSTGRES ]] || step postgres "PostgreSQL" infra/setup/apt.sh
[[ -z $REDIS ]] || step redis "Redis" infra/setup/apt.sh
[[ -z $S3 ]] || step s3 "an S3 server (about 60 MB)" requirements-s3.lock
[[ -z $RAY ]] || step ray "Ray (about 300 MB)" requirements-ray.lock
[[ -z $CLUSTER ]] || step haproxy "HAProxy" infra/setup/apt.sh
[[ -z $CLIENTS ]] || step clients "clients in other languages" infra/setup/apt.sh infra/setup/go.sh docs/clients.md
