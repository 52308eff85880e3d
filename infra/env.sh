# shellcheck shell=bash
# Sourced by the start scripts: the values of .env, for variables that are not set already.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ROOT
while IFS='=' read -r name value; do
    [[ $name =~ ^[A-Z_]+$ && -z ${!name:-} ]] && export "$name=$value"
done <"$ROOT/.env"
true
