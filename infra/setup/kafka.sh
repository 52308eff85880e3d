#!/usr/bin/env bash
# The broker's jars, by Maven.
set -euo pipefail
rm -rf .local/kafka/lib
mvn -B -ntp -q -Dstyle.color=never -f infra/kafka/pom.xml -Dmaven.repo.local="$ROOT/.local/cache/m2" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$ROOT/.local/kafka/lib"
