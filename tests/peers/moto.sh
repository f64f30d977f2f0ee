#!/usr/bin/env bash
# moto's RDS against our client and steps: snapshot, restore and its undo, promotion, a blue/green switchover. All of it by
# a user who may do what `cutover iam` says and nothing else; one permission less, and the preflight names it.
#
#   tests/peers/moto.sh              needs python3 and cargo
#
# Installs moto into target/peers once, binds to loopback only, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/peers/lib.sh

venv=target/peers/moto
work=$(mktemp -d)
python_peer moto 'moto[server]==5.2.5'

# moto cannot choose one itself.
port=$(free_port)
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" > "$work/moto.log" 2>&1 & moto=$!
trap 'kill "$moto" 2>/dev/null || true; wait "$moto" 2>/dev/null || true; rm -rf "$work"' EXIT
listens "$port" || { echo "moto did not start:"; cat "$work/moto.log"; exit 1; }

export CUTOVER_MOTO=http://127.0.0.1:$port AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_RDS HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy
# The user whose keys are held against policies once the test says so.
keys=$("$venv/bin/python" - "$CUTOVER_MOTO" << 'END'
import boto3, sys
iam = boto3.client("iam", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="AKIAPEER", aws_secret_access_key="none")
iam.create_user(UserName="cutover")
key = iam.create_access_key(UserName="cutover")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
END
)
export AWS_ACCESS_KEY_ID=${keys% *} AWS_SECRET_ACCESS_KEY=${keys#* }
cargo test --locked --test moto || { tail -n 40 "$work/moto.log"; exit 1; }
