#!/usr/bin/env bash
# Starts one of three Kafka nodes on this machine in the foreground. The nodes are brokers and controllers; clients use SCRAM over
# TLS, nodes use certificates of their own. secrets.sh comes first.
#   KAFKA_NODE           1, 2 or 3
#   KAFKA_CLUSTER_DIR    folder of the secrets and of all nodes' data
#   KAFKA_CLUSTER_PORTS  nine ports: for each node those for clients, for nodes and for controllers
#   KAFKA_JVM_OPTS       JVM options; default: the serial collector
set -euo pipefail
# shellcheck source=infra/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../env.sh"
# shellcheck source=infra/kafka/java.sh
source "$ROOT/infra/kafka/java.sh"

read -ra ports <<<"$KAFKA_CLUSTER_PORTS"
at=$((3 * (KAFKA_NODE - 1)))
secrets=$KAFKA_CLUSTER_DIR
dir=$KAFKA_CLUSTER_DIR/node-$KAFKA_NODE

# settings DATA: print the settings of this node with its data in the folder DATA
settings() {
    sed -e "s|@NODE@|$KAFKA_NODE|; s|@CLIENT_PORT@|${ports[at]}|; s|@NODE_PORT@|${ports[at + 1]}|" \
        -e "s|@CONTROLLER_PORT@|${ports[at + 2]}|; s|@SECRETS@|$secrets|; s|@DATA@|$1|" \
        -e "s|@VOTERS@|1@127.0.0.1:${ports[2]},2@127.0.0.1:${ports[5]},3@127.0.0.1:${ports[8]}|" \
        "$ROOT/infra/kafka/cluster/node.properties.in"
}

mkdir -p "$dir"
settings "$dir/data" >"$dir/node.properties"
# Format in a temporary folder, then rename: a node cannot start on data that an interrupted format left behind.
if [[ ! -e $dir/data ]]; then
    rm -rf "$dir/unformatted"
    settings "$dir/unformatted" >"$dir/format.properties"
    # Java reads its arguments from a file, because other accounts can see the arguments of a process, and these have passwords.
    {
        printf '"%s"\n' -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${classes[@]}" kafka.tools.StorageTool format \
            -t "$(<"$secrets/cluster-id")" -c "$dir/format.properties"
        for user in "$secrets"/users/*; do
            for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
                printf '"%s"\n' --add-scram "$mechanism=[name=$(basename "$user"),password=$(<"$user")]"
            done
        done
    } >"$dir/format.arguments"
    java "@$dir/format.arguments" >&2
    rm "$dir/format.arguments"
    mv "$dir/unformatted" "$dir/data"
fi
read -ra options <<<"${KAFKA_JVM_OPTS--XX:+UseSerialGC}"
exec java "${options[@]}" "${classes[@]}" -Xms64m -Xmx384m kafka.Kafka "$dir/node.properties"
