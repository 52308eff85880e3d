#!/usr/bin/env bash
# Downloads the broker's jars with Maven and archives the classes that a start loads: with the archive, a start is twice
# as fast.
set -euo pipefail
lib=$ROOT/.local/kafka/lib archive=$ROOT/.local/kafka/classes.jsa
rm -rf "$lib" "$archive" "$archive.part"
mvn -B -ntp -q -Dstyle.color=never -f infra/kafka/pom.xml -Dmaven.repo.local="$ROOT/.local/cache/m2" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$lib"

# A first start writes the archive when it ends. Without an archive the broker also starts, only slower.
KAFKA_DIR=$(mktemp -d)
log=$KAFKA_DIR/first-start.log
read -r KAFKA_PORT KAFKA_CONTROLLER_PORT < <("$PYTHON" - <<'PORTS'
import socket

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(socket.getsockname()[1] for socket in sockets))
PORTS
)
export KAFKA_DIR KAFKA_PORT KAFKA_CONTROLLER_PORT
export KAFKA_JVM_OPTS="-XX:+UseSerialGC -XX:ArchiveClassesAtExit=$archive.part"
bash infra/kafka/run.sh >"$log" 2>&1 &
broker=$!
trap 'kill "$broker" 2>/dev/null || true; rm -rf "$KAFKA_DIR"' EXIT # a background process does not receive Ctrl-C
.local/venv/bin/python - "127.0.0.1:$KAFKA_PORT" >>"$log" 2>&1 <<'ANSWERS' || true
import sys

from confluent_kafka.admin import AdminClient

AdminClient({"bootstrap.servers": sys.argv[1], "log_level": 0}).list_topics(timeout=60)
ANSWERS
kill "$broker" 2>/dev/null || true
wait "$broker" || true # exit code 143: stopped by SIGTERM
if [[ -s $archive.part ]]; then
    mv "$archive.part" "$archive"
else
    echo "set-up: the archive of Kafka's classes is missing, so each start takes longer: $(tail -n 1 "$log")" >&2
fi
