#!/usr/bin/env bash
# The real Heroku CLI against the sandbox: what it sends is what the sandbox's Platform API must take, and what it shows
# is what the cockpit must find.
#
#   tests/peers/heroku.sh            needs python3, and a built `cutover` (or CUTOVER=path)
#
# Installs the CLI into target/peers once, binds to loopback only, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/peers/lib.sh

cutover=${CUTOVER:-target/debug/cutover}
home=$PWD/target/peers/heroku
work=$(mktemp -d)
heroku_cli

"$cutover" sandbox --scenario calm --speed 20 --json > "$work/endpoints.json" & sandbox=$!
trap 'kill "$sandbox" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do python3 -m json.tool "$work/endpoints.json" > /dev/null 2>&1 && break; sleep 0.1; done
endpoint() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/endpoints.json" "$1"; }

# Nothing of the person who runs this: neither a home nor a key.
export HOME=$work XDG_DATA_HOME=$work/data XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/config
export HEROKU_HOST HEROKU_DATA_HOST=127.0.0.1 HEROKU_API_KEY=peer DISABLE_TELEMETRY=true HEROKU_SKIP_NEW_VERSION_CHECK=1
export HEROKU_HIDE_UPDATE_WARNING=1 NO_COLOR=1 CI=1
HEROKU_HOST=$(endpoint heroku)
PATH=$home/node_modules/.bin:$PATH   # it starts itself
failures=0

# expect WHAT COMMAND...: its output, or its error, holds WHAT (a pattern of the shell).
expect() {
  local wanted=$1 got; shift
  got=$(timeout 60 "$home/node_modules/.bin/heroku" "$@" --app acme-shop 2>&1 | tr -s '\n\t ' ' ') || true
  # shellcheck disable=SC2053
  if [[ $got == $wanted ]]; then echo "ok   heroku $*"; else
    echo "FAIL heroku $*"; echo "  wanted $wanted"; echo "  got    $got"; failures=$((failures + 1)); fi
}
ledger() { python3 -c 'import json, sys, urllib.request as u; print(" ".join(e["target"] for e in json.load(u.urlopen(sys.argv[1] + "/sandbox/ledger"))))' "$(endpoint control)"; }

expect '*off ' maintenance
expect '*done*' maintenance:on
expect '*on ' maintenance
expect '*done*' maintenance:off
expect '*web*puma*web.1: up*web.2: up*worker.1: up*' ps
expect '*clock=1:Standard-2X web=2:Standard-2X worker=1:Standard-2X*' ps:scale
expect '*now running worker at 0:Standard-2X, clock at 0:Standard-2X*' ps:scale worker=0 clock=0
expect '*clock=0:Standard-2X web=2:Standard-2X worker=0:Standard-2X*' ps:scale
expect "*Couldn't find that process type*" ps:scale ghost=1
expect '*DATABASE_URL*RAILS_ENV*' config
expect '*production ' config:get RAILS_ENV
expect '*v231*Deploy*v230*' releases
expect '*Setting NOTE*done, v232*' config:set NOTE=x
expect '*Rolling back acme-shop to v231... done, v233*' rollback v231
expect '*v233*Rollback to v231*v232*Set NOTE config vars*v231*' releases
# When the key ends, as the client finds it: by its own among all authorizations.
expiry=$(timeout 60 "$home/node_modules/.bin/heroku" auth:token 2>&1 | tr -s '\n\t ' ' ') || true
[[ $expiry == *'token will expire'*peer* ]] || { echo "FAIL heroku auth:token: $expiry"; failures=$((failures + 1)); }
expect '*acme-shop.herokuapp.com*shop.example.test*acme-shop.herokudns.test*' domains
[ "$(ledger)" = 'acme-shop acme-shop acme-shop/worker acme-shop/clock NOTE acme-shop' ] ||
  { echo "FAIL the ledger: $(ledger)"; failures=$((failures + 1)); }

[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
