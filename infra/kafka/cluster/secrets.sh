#!/usr/bin/env bash
# Creates what the nodes and clients of a cluster on this machine need to know each other, in the folder DIR:
#   cluster-id            id of the cluster
#   ca.pem                the authority that signs all certificates
#   broker.pem            key and certificate of the nodes
#   admin.pem, admin.key  certificate and key of the client `admin`
#   users/NAME            password of each user; `admin` is one
# Keeps what is there already. Usage: secrets.sh DIR USER...
set -euo pipefail
# shellcheck source=infra/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../env.sh"
# shellcheck source=infra/kafka/java.sh
source "$ROOT/infra/kafka/java.sh"

dir=$1
shift
mkdir -p "$dir/users"
for user in admin "$@"; do
    [[ -s $dir/users/$user ]] || head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$dir/users/$user"
done
[[ -s $dir/broker.pem ]] && exit

# openssl prints what it does on standard error, and the reason if it fails.
request() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1" -subj "/CN=$2" "${@:3}"
}
sign() {
    openssl x509 -req -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 3650 \
        -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1')
}
{
    request "$dir/ca.key" driftloop-ca -x509 -days 3650 >"$dir/ca.pem"
    request "$dir/broker.key" broker | sign >"$dir/broker.crt"
    request "$dir/admin.key" admin | sign >"$dir/admin.pem"
} 2>"$dir/openssl.log" || { cat "$dir/openssl.log" >&2; exit 1; }
cluster_id >"$dir/cluster-id"
cat "$dir/broker.key" "$dir/broker.crt" >"$dir/broker.part"
mv "$dir/broker.part" "$dir/broker.pem" # last: the sign that all is there
rm "$dir/broker.key" "$dir/broker.crt" "$dir/openssl.log"
