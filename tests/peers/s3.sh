#!/usr/bin/env bash
# Two machines on one bucket: they race for a session, one dies in the middle of an act, the other takes over, and the
# bucket itself goes silent. What was done is counted in the world, not in the journal.
#
#   tests/peers/s3.sh                needs python3, and a built `cutover` (or CUTOVER=path)
#
# Installs ministack (an S3 that is not ours) into target/peers once, binds to loopback only, stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/peers/lib.sh

venv=target/peers/ministack
work=$(mktemp -d)
python_peer ministack 'ministack==1.5.33' cbor2

port=$(free_port)
BIND_HOST=127.0.0.1 GATEWAY_PORT=$port "$venv/bin/ministack" > "$work/ministack.log" 2>&1 & peer=$!
trap 'kill -CONT "$peer" 2>/dev/null; kill "$peer" 2>/dev/null; wait "$peer" 2>/dev/null || true; rm -rf "$work"' EXIT

# A machine that has AWS settings of its own must not lend them to the test.
for name in $(compgen -e | grep -E '^AWS_|^HEROKU_|^CUTOVER_(LOG|JOURNAL)'); do unset "$name"; done
export AWS_ENDPOINT_URL_S3=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
python3 tests/peers/s3.py "${CUTOVER:-target/debug/cutover}" "$work" "$peer"
