# shellcheck shell=bash
# Sourced by the start scripts: exports the values of .env for variables that are not set. If PORT_BASE moves the ports,
# driftloop/process/tcp_ports.py computes them.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ROOT
umask 077 # state is for its owner only
values=$(<"$ROOT/.env")
if [[ ${PORT_BASE:-} || $values == *$'\n'PORT_BASE=[0-9]* ]]; then
    values=$(PYTHONPATH=$ROOT "$ROOT/.local/venv/bin/python" -m driftloop.process.tcp_ports)
fi
while IFS='=' read -r name value; do
    [[ $name =~ ^[A-Z_]+$ && -z ${!name:-} ]] && export "$name=$value"
done <<<"$values"
true
