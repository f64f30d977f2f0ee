#!/usr/bin/env bash
# Tells whether the pictures still show the program: the screens of the tests, drawn with a fixed clock, are what they were
# when the pictures were made.   screenshots/check.sh [--write]
set -euo pipefail
cd "$(dirname "$0")/.."

# Every screen that is pictured, as the test of that screen holds it.
screens() {
  local name
  for name in drain_160x48 drain_120x40 drain_80x24 armed_type_160x48 breach_160x48 rollback_asked_160x48 crosshair_160x48; do
    # Without the header of the file, which is none of the screen.
    awk 'rule > 1; /^---$/ { rule++ }' "src/tui/tests/snapshots/cutover__tui__tests__screens__$name.snap"
  done
}

digest=$(screens | sha256sum | cut -d ' ' -f 1)
if [ "${1:-}" = --write ]; then
  echo "$digest" > screenshots/screens.sha256
  exit
fi
if [ "$digest" != "$(cat screenshots/screens.sha256)" ]; then
  echo 'the screens have changed since the pictures were made: run screenshots/make.sh, look at them, and commit them' >&2
  exit 1
fi
# What the README shows is there, and the recording is one.
grep -o 'screenshots/[a-z0-9-]*\.\(svg\|cast\)' README.md | sort -u | while read -r picture; do
  [ -s "$picture" ] || { echo "the README shows $picture, which is not there" >&2; exit 1; }
done
python3 - screenshots/rehearsal.cast << 'PYTHON'
import json, sys
head, *events = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
assert head["version"] == 2 and len(events) > 20, "the recording is empty"
assert all(a[0] <= b[0] for a, b in zip(events, events[1:])), "the recording runs backwards"
assert "cockpit" in "".join(event[2] for event in events), "the recording shows no cockpit"
PYTHON
