#!/usr/bin/env bash
# Several logins of this machine and one engine: makes the users, runs `tests/two_logins`, and takes the users away.
#
#   sudo tests/peers/two-logins.sh        needs root, useradd and setpriv (Debian 12 has both); for a container or CI
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo 'this test makes users: run it as root, in a container'; exit 1; }

users=(cutover-ann cutover-bob cutover-dan cutover-eve)
finish() {
  local user
  for user in "${users[@]}"; do userdel "$user" 2> /dev/null || true; done
  groupdel cutover-test 2> /dev/null || true
}
trap finish EXIT
finish
groupadd cutover-test
for user in cutover-ann cutover-bob cutover-dan; do useradd -M -U -G cutover-test "$user"; done
useradd -M -U cutover-eve

cargo test --test two_logins
