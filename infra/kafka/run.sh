#!/usr/bin/env bash
# Starts one Kafka node in the foreground; signals reach it. Ports come from the environment or .env.
#   KAFKA_DIR       folder of its data and its rendered settings (var/kafka unless set)
#   KAFKA_JVM_OPTS  of the node, instead of the serial collector, which takes less memory on one this small
set -euo pipefail
# shellcheck source=infra/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

here=$ROOT/infra/kafka
lib=$ROOT/.local/kafka/lib
dir=${KAFKA_DIR:-$ROOT/var/kafka}
if [[ ! -d $lib ]]; then
    echo "Kafka is not installed: run make setup" >&2
    exit 1
fi

# settings DATA: the settings of a node with its data in that folder
settings() {
    sed -e "s|@KAFKA_PORT@|$KAFKA_PORT|; s|@KAFKA_CONTROLLER_PORT@|$KAFKA_CONTROLLER_PORT|; s|@KAFKA_DATA@|$1|" \
        "$here/server.properties.in"
}

mkdir -p "$dir"
settings "$dir/data" >"$dir/server.properties"

classes=(-Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$lib/*")
# Classes that set-up has archived are mapped, not loaded one by one: two seconds of a start.
if [[ -e $ROOT/.local/kafka/classes.jsa ]]; then
    classes+=(-XX:SharedArchiveFile="$ROOT/.local/kafka/classes.jsa" -Xlog:cds=off -Xlog:class+path=off)
fi

# Formatted beside its place and then moved there: data that a stop has left half formatted would never start.
if [[ ! -e $dir/data ]]; then
    rm -rf "$dir/unformatted"
    settings "$dir/unformatted" >"$dir/format.properties"
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/k/')
    java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${classes[@]}" \
        kafka.tools.StorageTool format -t "$cluster" -c "$dir/format.properties" >&2
    mv "$dir/unformatted" "$dir/data"
fi
read -ra options <<<"${KAFKA_JVM_OPTS--XX:+UseSerialGC}"
exec java "${options[@]}" "${classes[@]}" -Xms64m -Xmx384m kafka.Kafka "$dir/server.properties"
