#!/usr/bin/env bash
# Two real PostgreSQL clusters joined by logical replication, under write load: the old one in the clear on loopback, the
# new one with TLS and a CA of its own. Runs the tests of tests/postgres against them.
#
#   tests/peers/postgres.sh [TEST]   needs PostgreSQL 15 or later (installed by apt-get when missing), openssl, cargo
#
# Binds to 127.0.0.1 only, and stops what it started. PostgreSQL refuses to run as root: then it runs as `postgres`.
set -euo pipefail
cd "$(dirname "$0")/../.."

find_postgres() { bin=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -1); [ -x "${bin:-}/initdb" ]; }
find_postgres || {
  # Debian would start a cluster of its own on the usual port.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql openssl
  find_postgres || { echo 'no PostgreSQL is found in /usr/lib/postgresql' >&2; exit 1; }
}
echo "PostgreSQL in $bin"

work=$(mktemp -d)
chmod 755 "$work"
as=()
[ "$(id -u)" != 0 ] || { as=(setpriv --reuid postgres --regid postgres --clear-groups env HOME="$work"); chown postgres "$work"; }
stop() {
  for side in old new; do
    [ ! -f "$work/$side/postmaster.pid" ] || "${as[@]}" "$bin/pg_ctl" -D "$work/$side" -m immediate -w stop > /dev/null || true
  done
  rm -rf "$work"
}
trap stop EXIT

# A CA, and a certificate of `localhost` that it signed.
pki() {
  cd "$work"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca \
    -addext 'basicConstraints=critical,CA:TRUE' -keyout ca.key -out ca.pem
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem \
    -extfile <(printf 'subjectAltName=DNS:localhost')
  [ "$(id -u)" != 0 ] || chown postgres server.key server.pem
  chmod 600 server.key
}
(pki) > "$work/pki.log" 2>&1 || { cat "$work/pki.log" >&2; exit 1; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# start SIDE PORT OPTION...
start() {
  local side=$1 port=$2; shift 2
  "${as[@]}" "$bin/initdb" -D "$work/$side" -U postgres -A scram-sha-256 --pwfile="$work/password" --no-sync > /dev/null
  printf '%s\n' "port = $port" "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$work'" 'fsync = off' \
    'wal_level = logical' 'max_replication_slots = 40' 'max_wal_senders = 40' 'max_logical_replication_workers = 40' \
    'max_worker_processes = 80' 'max_connections = 200' "$@" | "${as[@]}" tee -a "$work/$side/postgresql.conf" > /dev/null
  "${as[@]}" "$bin/pg_ctl" -D "$work/$side" -l "$work/$side.log" -w start > /dev/null || { cat "$work/$side.log" >&2; exit 1; }
  PGPASSWORD=secret "$bin/psql" -X -q -h 127.0.0.1 -p "$port" -U postgres -v ON_ERROR_STOP=1 \
    -c "create role operator login superuser password 'secret'"
}
echo secret > "$work/password"
chmod 644 "$work/password"
old=$(free_port); new=$(free_port)
start old "$old"
start new "$new" 'ssl = on' "ssl_cert_file = '$work/server.pem'" "ssl_key_file = '$work/server.key'"

export CUTOVER_TEST_POSTGRES=$old,$new CUTOVER_TEST_POSTGRES_CA=$work/ca.pem CUTOVER_TEST_POSTGRES_PASSWORD=secret
# One at a time: transaction ids are the whole cluster's, and a test may look at them.
cargo test --locked --test postgres -- --test-threads 1 --nocapture "$@"
