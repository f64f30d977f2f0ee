#!/usr/bin/env bash
# Two logins on each of two machines and one bucket run rehearsals together while engines and screens are killed and links
# are cut at random: makes the users and the bucket, runs `tests/trial`, and takes them away.
#
#   sudo tests/peers/trial.sh                                 a minute or two, 45 s of it in bad weather
#   sudo CUTOVER_TRIAL_SECONDS=3600 tests/peers/trial.sh      an hour of it; CUTOVER_TRIAL_SEED tells another story
#
# Needs root, useradd, setpriv and python3 (Debian 12 has them); for a container or CI. Installs ministack (an S3 that is
# not ours) into target/peers once, binds to loopback only, stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo 'this test makes users: run it as root, in a container'; exit 1; }

. tests/peers/lib.sh

venv=target/peers/ministack
python_peer ministack 'ministack==1.5.33' cbor2

users=(trial-ann trial-bob trial-cal trial-dan)
work= peer=
finish() {
  local user
  [ -z "$peer" ] || { kill "$peer" 2> /dev/null; wait "$peer" 2> /dev/null || true; }
  # A trial that was itself killed leaves processes of these users, who are nobody else's.
  for user in "${users[@]}"; do
    ps -o pid= -u "$user" 2> /dev/null | xargs -r kill -9 2> /dev/null || true
    userdel "$user" 2> /dev/null || true
  done
  groupdel cutover-trial 2> /dev/null || true
  [ -z "$work" ] || rm -rf "$work"
}
trap finish EXIT
finish
work=$(mktemp -d)
groupadd -f cutover-trial
for user in "${users[@]}"; do useradd -M -U -G cutover-trial "$user"; done

port=$(free_port)
BIND_HOST=127.0.0.1 GATEWAY_PORT=$port "$venv/bin/ministack" > "$work/ministack.log" 2>&1 & peer=$!

# A machine that has AWS settings of its own must not lend them to the test.
for name in $(compgen -e | grep -E '^AWS_|^HEROKU_|^CUTOVER_(LOG|JOURNAL)'); do unset "$name"; done
export AWS_ENDPOINT_URL_S3=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
cargo test --locked --test trial
