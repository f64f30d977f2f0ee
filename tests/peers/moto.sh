#!/usr/bin/env bash
# moto's RDS against our client and steps: snapshot, restore and its undo, promotion, a blue/green switchover.
#
#   tests/peers/moto.sh              needs python3 with venv, and cargo
#
# Installs moto into target/peers once, binds to loopback only, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=target/peers/moto
work=$(mktemp -d)
[ -x "$venv/bin/moto_server" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q 'moto[server]==5.2.5'; }

# A free port of loopback; moto cannot choose one itself.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" > "$work/moto.log" 2>&1 & moto=$!
trap 'kill "$moto" 2>/dev/null || true; wait "$moto" 2>/dev/null || true; rm -rf "$work"' EXIT
listens() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$port" 2> /dev/null; }
for _ in $(seq 300); do listens && break; sleep 0.1; done
listens || { echo "moto did not start:"; cat "$work/moto.log"; exit 1; }

export CUTOVER_MOTO=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=AKIAPEER AWS_SECRET_ACCESS_KEY=none AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_RDS HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy
cargo test --locked --test moto || { tail -n 40 "$work/moto.log"; exit 1; }
