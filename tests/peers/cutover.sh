#!/usr/bin/env bash
# A whole cutover and its way back, by keys in a terminal, between servers that nobody here wrote: Route 53, CloudWatch,
# ECS and SQS of ministack, a zone on Knot DNS that follows it, resolvers of three vendors with different habits, and two PostgreSQL
# clusters with logical replication, while customers and workers write. Only Heroku is our sandbox's: there is no other.
#
#   tests/peers/cutover.sh           needs python3 with venv, openssl, cargo; installs the servers when they are missing
#
# Binds to loopback only, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/peers/lib.sh

packages knotd knot knot-dnsutils
packages unbound unbound
packages dnsmasq dnsmasq-base
packages pdns_recursor pdns-recursor
postgres_programs
python_peer ministack 'ministack==1.5.33' cbor2

work=$(mktemp -d)
pids=()
finish() {
  postgres_stop old; postgres_stop new
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2> /dev/null || true
  wait || true
  rm -rf "$work"
}
trap finish EXIT
# serve NAME COMMAND...: in the background, with a log of its own.
serve() { local name=$1; shift; "$@" > "$work/$name.log" 2>&1 & pids+=($!); }

postgres_user
postgres_pki
old=$(free_port); new=$(free_port)
postgres_start old "$old"
postgres_start new "$new" 'ssl = on' "ssl_cert_file = '$work/server.pem'" "ssl_key_file = '$work/server.key'"

aws=$(free_port)
serve ministack env BIND_HOST=127.0.0.1 GATEWAY_PORT="$aws" "$PWD/target/peers/ministack/bin/ministack"

# The authority takes updates, as Route 53's own change sets do; nothing else changes it.
authority=$(free_port)
mkdir -p "$work/knot"
cat > "$work/knot.conf" << CONF
server:
    listen: 127.0.0.1@$authority
    rundir: $work/knot
database:
    storage: $work/knot
log:
  - target: stderr
    any: warning
acl:
  - id: updates
    address: 127.0.0.1
    action: update
template:
  - id: default
    storage: $work/knot
    zonefile-sync: -1
zone:
  - domain: cutover.test
    acl: updates
CONF
cat > "$work/knot/cutover.test.zone" << ZONE
cutover.test. 60 SOA ns.cutover.test. nobody.cutover.test. 1 60 60 60 2
cutover.test. 60 NS ns.cutover.test.
ns.cutover.test. 60 A 127.0.0.1
heroku.cutover.test. 60 A 127.0.0.31
aws.cutover.test. 60 A 127.0.0.32
ZONE
serve knot knotd -c "$work/knot.conf"

# unbound NAME PORT OPTION...: a recursive resolver that knows where the zone is.
unbound_resolver() {
  local name=$1 port=$2; shift 2
  {
    printf '%s\n' 'server:' "interface: 127.0.0.1@$port" 'do-not-query-localhost: no' 'username: ""' 'chroot: ""' \
      'pidfile: ""' 'use-syslog: no' 'module-config: "iterator"' 'local-zone: "test." nodefault' 'do-daemonize: no' \
      "directory: $work" 'num-threads: 1' "$@" 'stub-zone:' 'name: cutover.test' "stub-addr: 127.0.0.1@$authority" \
      'remote-control:' 'control-enable: no'
  } > "$work/$name.conf"
  serve "$name" unbound -c "$work/$name.conf"
}
honest=$(free_port); stretches=$(free_port); expired=$(free_port); forwards=$(free_port); recurses=$(free_port)
unbound_resolver honest "$honest"
unbound_resolver stretches "$stretches" 'cache-min-ttl: 12'
unbound_resolver expired "$expired" 'serve-expired: yes' 'serve-expired-ttl: 60'
serve forwards dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces \
  --port="$forwards" --server="/cutover.test/127.0.0.1#$authority" --user="$(id -un)" --pid-file=
mkdir -p "$work/recursor"
serve recurses pdns_recursor --config-dir="$work/recursor" --socket-dir="$work/recursor" --local-address=127.0.0.1 \
  --local-port="$recurses" --forward-zones="cutover.test=127.0.0.1:$authority" --dont-query= --dnssec=off --daemon=no \
  --disable-syslog=yes --hint-file=no --threads=1 --webserver=no --write-pid=no --security-poll-suffix= --setuid= --setgid=
for port in "$aws" "$authority" "$honest" "$stretches" "$expired" "$forwards" "$recurses"; do
  listens "$port" || { tail -n 5 "$work"/*.log >&2; exit 1; }
done

# A machine that has AWS settings of its own must not lend them to the test.
for name in $(compgen -e | grep -E '^AWS_|^HEROKU_|^CUTOVER_(LOG|JOURNAL)'); do unset "$name"; done
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
export AWS_EC2_METADATA_DISABLED=true HEROKU_API_KEY=sandbox
export CUTOVER_TEST_POSTGRES=$old,$new CUTOVER_TEST_POSTGRES_CA=$work/ca.pem CUTOVER_TEST_POSTGRES_PASSWORD=secret
export CUTOVER_TEST_AWS=http://127.0.0.1:$aws CUTOVER_TEST_AUTHORITY=127.0.0.1:$authority
export CUTOVER_TEST_RESOLVERS="unbound=127.0.0.1:$honest, stretching=127.0.0.1:$stretches, expired=127.0.0.1:$expired, dnsmasq=127.0.0.1:$forwards, recursor=127.0.0.1:$recurses"
cargo test --locked --test cutover -- --nocapture || { tail -n 5 "$work"/*.log; exit 1; }
