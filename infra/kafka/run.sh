#!/usr/bin/env bash
# Starts one Kafka node in the foreground, so it receives signals. Ports: from the environment or .env.
#   KAFKA_DIR       folder of its data and rendered settings (default: var/kafka)
#   KAFKA_JVM_OPTS  JVM options; default: the serial collector, which needs less memory on a small node
set -euo pipefail
# shellcheck source=infra/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

# shellcheck source=infra/kafka/java.sh
source "$ROOT/infra/kafka/java.sh"
dir=${KAFKA_DIR:-$ROOT/var/kafka}

# settings DATA: print the settings of a node whose data is in the folder DATA
settings() {
    sed -e "s|@KAFKA_PORT@|$KAFKA_PORT|; s|@KAFKA_CONTROLLER_PORT@|$KAFKA_CONTROLLER_PORT|; s|@KAFKA_DATA@|$1|" \
        "$ROOT/infra/kafka/server.properties.in"
}

mkdir -p "$dir"
settings "$dir/data" >"$dir/server.properties"

# Format in a temporary folder, then rename: a node cannot start on data that an interrupted format left behind.
if [[ ! -e $dir/data ]]; then
    rm -rf "$dir/unformatted"
    settings "$dir/unformatted" >"$dir/format.properties"
    java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${classes[@]}" \
        kafka.tools.StorageTool format -t "$(cluster_id)" -c "$dir/format.properties" >&2
    mv "$dir/unformatted" "$dir/data"
fi
read -ra options <<<"${KAFKA_JVM_OPTS--XX:+UseSerialGC}"
exec java "${options[@]}" "${classes[@]}" -Xms64m -Xmx384m kafka.Kafka "$dir/server.properties"
