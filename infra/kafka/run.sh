#!/usr/bin/env bash
# Starts one Kafka node in the foreground; signals reach it. Ports come from the environment or .env.
#   KAFKA_DIR  folder of its data and its rendered settings (var/kafka unless set)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

here=$ROOT/infra/kafka
lib=$ROOT/.local/kafka/lib
dir=${KAFKA_DIR:-$ROOT/var/kafka}
if [[ ! -d $lib ]]; then
    echo "Kafka is not installed: run make setup" >&2
    exit 1
fi

mkdir -p "$dir/data"
sed -e "s|@KAFKA_PORT@|$KAFKA_PORT|; s|@KAFKA_CONTROLLER_PORT@|$KAFKA_CONTROLLER_PORT|; s|@KAFKA_DIR@|$dir|" \
    "$here/server.properties.in" >"$dir/server.properties"

java=(java ${KAFKA_JVM_OPTS--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}
    -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$lib/*")

if [[ ! -e $dir/data/meta.properties ]]; then
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/k/')
    "${java[@]}" kafka.tools.StorageTool format -t "$cluster" -c "$dir/server.properties" >&2
fi
exec "${java[@]}" -Xms64m -Xmx384m kafka.Kafka "$dir/server.properties"
