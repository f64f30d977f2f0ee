#!/usr/bin/env bash
# Two real PostgreSQL clusters joined by logical replication, under write load: the old one in the clear on loopback, the
# new one with TLS and a CA of its own. Runs the tests of tests/peers/postgres against them.
#
#   tests/peers/postgres.sh [TEST]   needs PostgreSQL 15 or later (installed by apt-get when missing), openssl, cargo
#
# Binds to 127.0.0.1 only, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/peers/lib.sh

postgres_programs
echo "PostgreSQL in $bin"
work=$(mktemp -d)
trap 'postgres_stop old; postgres_stop new; postgres_stop plain; rm -rf "$work"' EXIT
postgres_user
postgres_pki
old=$(free_port); new=$(free_port); plain=$(free_port)
postgres_start old "$old"
postgres_start new "$new" 'ssl = on' "ssl_cert_file = '$work/server.pem'" "ssl_key_file = '$work/server.key'"
# Where logical replication is refused.
postgres_start plain "$plain" 'wal_level = replica'

export CUTOVER_TEST_POSTGRES=$old,$new CUTOVER_TEST_POSTGRES_CA=$work/ca.pem CUTOVER_TEST_POSTGRES_PASSWORD=secret
export CUTOVER_TEST_POSTGRES_PLAIN=$plain AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_EC2_METADATA_DISABLED=true
# One at a time: transaction ids are the whole cluster's, and a test may look at them.
cargo test --locked --test postgres -- --test-threads 1 --nocapture "$@"
