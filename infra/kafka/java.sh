# shellcheck shell=bash
# Sourced by the start scripts: `classes` are Java's arguments for Kafka's classes.
lib=$ROOT/.local/kafka/lib
if [[ ! -d $lib ]]; then
    echo "Kafka is not installed: run make setup" >&2
    exit 1
fi
classes=(-Dlog4j2.configurationFile="$ROOT/infra/kafka/log4j2.properties" -cp "$lib/*")
# Archived classes are mapped instead of loaded one by one, which makes a start two seconds faster.
if [[ -e $ROOT/.local/kafka/classes.jsa ]]; then
    classes+=(-XX:SharedArchiveFile="$ROOT/.local/kafka/classes.jsa" -Xlog:cds=off -Xlog:class+path=off)
fi

# cluster_id: print a new id of a cluster
cluster_id() {
    head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/k/'
}
