#!/usr/bin/env bash
# The broker's jars, by Maven, and an archive of the classes that a start loads: a JVM that has one starts twice as fast.
set -euo pipefail
lib=$ROOT/.local/kafka/lib archive=$ROOT/.local/kafka/classes.jsa
rm -rf "$lib" "$archive" "$archive.part"
mvn -B -ntp -q -Dstyle.color=never -f infra/kafka/pom.xml -Dmaven.repo.local="$ROOT/.local/cache/m2" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$lib"

# The archive is what a first start leaves at its end. Without one the broker starts as well, only later.
KAFKA_DIR=$(mktemp -d)
log=$KAFKA_DIR/first-start.log
read -r KAFKA_PORT KAFKA_CONTROLLER_PORT < <("$PYTHON" - <<'PORTS'
import socket

held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in held))
PORTS
)
export KAFKA_DIR KAFKA_PORT KAFKA_CONTROLLER_PORT
export KAFKA_JVM_OPTS="-XX:+UseSerialGC -XX:ArchiveClassesAtExit=$archive.part"
bash infra/kafka/run.sh >"$log" 2>&1 &
broker=$!
trap 'kill "$broker" 2>/dev/null || true; rm -rf "$KAFKA_DIR"' EXIT # what runs in the background does not hear Ctrl-C
.local/venv/bin/python - "127.0.0.1:$KAFKA_PORT" >>"$log" 2>&1 <<'ANSWERS' || true
import sys

from confluent_kafka.admin import AdminClient

AdminClient({"bootstrap.servers": sys.argv[1], "log_level": 0}).list_topics(timeout=60)
ANSWERS
kill "$broker" 2>/dev/null || true
wait "$broker" || true # a stopped JVM ends with 143
if [[ -s $archive.part ]]; then
    mv "$archive.part" "$archive"
else
    echo "set-up: no archive of Kafka's classes was made, so each start takes longer: $(tail -n 1 "$log")" >&2
fi
