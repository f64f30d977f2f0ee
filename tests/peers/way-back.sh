#!/usr/bin/env bash
# The way back without the cockpit: a rehearsal goes forward, its engine is killed, and the script of
# `cutover rollback-script` puts the world back with the real AWS CLI and the real Heroku CLI.
#
#   tests/peers/way-back.sh            needs python3, and a built `cutover` (or CUTOVER=path)
#
# Installs both CLIs into target/peers once (Heroku's takes two minutes), binds to loopback only, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/peers/lib.sh

cutover=$(realpath "${CUTOVER:-target/debug/cutover}")
aws=$PWD/target/peers/awscli heroku=$PWD/target/peers/heroku
python_peer awscli 'awscli==1.46.3'
heroku_cli
packages curl curl
export PATH="$aws/bin:$heroku/node_modules/.bin:$PATH"

work=$(mktemp -d)
export XDG_STATE_HOME=$work XDG_RUNTIME_DIR=$work HOME=$work
unset AWS_PROFILE AWS_ENDPOINT_URL
export AWS_ACCESS_KEY_ID=AKIASANDBOX AWS_SECRET_ACCESS_KEY=none AWS_CONFIG_FILE=/dev/null
export AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER= AWS_MAX_ATTEMPTS=1
export HEROKU_API_KEY=sandbox HEROKU_DATA_HOST=127.0.0.1 DISABLE_TELEMETRY=true HEROKU_DISABLE_TELEMETRY=1

# Everything that was started here names this folder in its environment.
finish() {
  local environ
  for environ in /proc/[0-9]*/environ; do
    local pid; pid=$(basename "$(dirname "$environ")")
    if [ "$pid" != $$ ] && tr '\0' '\n' 2> /dev/null < "$environ" | grep -qxF "XDG_STATE_HOME=$work"; then
      kill -9 "$pid" 2> /dev/null || true
    fi
  done
  rm -rf "$work"
}
trap finish EXIT

json() { python3 -c 'import json, sys; value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[int(key) if isinstance(value, list) else key]
print(value)' "$@"; }
die() { echo "FAIL $*"; exit 1; }

"$cutover" rehearse --autopilot --headless --speed 120 > "$work/autopilot.log" 2>&1 & autopilot=$!
for _ in $(seq 300); do endpoints=$(ls "$work"/cutover/*/*/*/sandbox.json 2> /dev/null) && break; sleep 0.1; done
[ -n "${endpoints:-}" ] || die 'the sandbox did not come up'
endpoint() { json "$1" < "$endpoints"; }
export AWS_DEFAULT_REGION=us-east-1

# What the world is, as its own clients see it.
world() {
  aws --endpoint-url "$(endpoint aws_route53)" route53 list-resource-record-sets --hosted-zone-id Z0SANDBOX00000000001
  aws --endpoint-url "$(endpoint aws_route53)" ecs describe-services --cluster acme --services web worker scheduler \
    --query 'services[].[serviceName,desiredCount]' --output text
  HEROKU_HOST=$(endpoint heroku) heroku maintenance --app acme-shop
  curl -sS -H 'accept: application/vnd.heroku+json; version=3' -H 'authorization: Bearer x' \
    "$(endpoint heroku)/apps/acme-shop/formation" |
    python3 -c 'import json, sys; print(sorted((row["type"], row["quantity"]) for row in json.load(sys.stdin)))'
}
ledger() { curl -sS "$(endpoint control)/sandbox/ledger" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }

# Nothing happens without its driver, who waits while the world is looked at.
kill -STOP "$autopilot"
[ "$(ledger)" = 0 ] || die 'the rehearsal was faster than the look at the world before it'
world > "$work/before"
kill -CONT "$autopilot"

phase() { "$cutover" status --json 2> /dev/null | python3 -c 'import json, sys
print(next(step["phase"] for step in json.load(sys.stdin)["steps"] if step["id"] == sys.argv[1]))' "$1"; }
echo 'going forward ...'
for _ in $(seq 1500); do
  [ "$(phase raise-ttl || true)" = done ] && break
  kill -0 "$autopilot" 2> /dev/null || { cat "$work/autopilot.log"; die 'the rehearsal ended too early'; }
  sleep 0.1
done
engine=$("$cutover" status --json | json engine 0)
kill -9 "$autopilot" "$engine"
wait "$autopilot" 2> /dev/null || true
forward=$(ledger)
world > "$work/after"
cmp -s "$work/before" "$work/after" && die 'the rehearsal changed nothing'
echo "the engine is dead after $forward acts"

"$cutover" rollback-script > "$work/way-back.sh"
bash -n "$work/way-back.sh"
CUTOVER_PAST_NO_RETURN=yes bash "$work/way-back.sh" < /dev/null || { cat "$work/way-back.sh"; die 'the script failed'; }
world > "$work/end"
diff -u "$work/before" "$work/end" || { cat "$work/way-back.sh"; die 'the world is not as before'; }
undone=$(($(ledger) - forward))
[ "$undone" -gt 5 ] || die "only $undone acts of the script took effect"
ls "$(dirname "$endpoints")"/deploy.lock 2> /dev/null && die 'deploys are still locked'
echo "ok   $undone undos by hand, the world is as before"
