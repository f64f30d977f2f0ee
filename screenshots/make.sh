#!/usr/bin/env bash
# Makes the pictures and the recording of this folder from real rehearsals in a real terminal (tmux), cell by cell. Needs
# tmux and python3.
#   screenshots/make.sh [PATH OF THE PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-target/release/cutover}
work=$(mktemp -d)
export XDG_STATE_HOME=$work/state XDG_RUNTIME_DIR=$work/run LANG=C.UTF-8 COLORTERM=truecolor TZ=UTC
mkdir -m 700 "$XDG_RUNTIME_DIR"
tmux=(tmux -L "cutover-pictures-$$" -f /dev/null)

cleanup() {
  "${tmux[@]}" kill-server 2> /dev/null || true
  # The rehearsal's engine and sandbox outlive the screen: they are ours, and known by their session's folder.
  pgrep -f "cutover (engine|sandbox) .*$work/" | xargs -r kill 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

shot() { # shot NAME WIDTH HEIGHT
  "${tmux[@]}" resize-window -t s -x "$2" -y "$3"
  sleep 1.5
  "${tmux[@]}" capture-pane -e -N -p -t s | python3 screenshots/svg.py "$2" "$3" > "screenshots/$1.svg"
  echo "screenshots/$1.svg"
}

# until TEXT SECONDS: waits until the screen shows it.
until_shown() {
  for _ in $(seq "$2"); do
    "${tmux[@]}" capture-pane -p -t s | grep -q "$1" && return
    sleep 1
  done
  echo "the screen did not show: $1" >&2
  "${tmux[@]}" capture-pane -p -t s >&2
  exit 1
}

# press KEY...: one after the other, as slowly as a person who reads.
press() {
  for key in "$@"; do
    "${tmux[@]}" send-keys -t s "$key"
    sleep 1
  done
}

# rehearse OPTION...: in a terminal of its own, ended with the next one. In a home of its own, or in $home.
rehearse() {
  "${tmux[@]}" kill-session -t s 2> /dev/null || true
  local home=${home:-$(mktemp -d -p "$work")}
  "${tmux[@]}" new-session -d -s s -x 160 -y 48 \
    "XDG_STATE_HOME=$home XDG_RUNTIME_DIR=$home $program rehearse --autopilot $*"
}

# looked_at THEME [light]: the rehearsal in $home on the screen of somebody who joins it.
looked_at() {
  "${tmux[@]}" new-session -d -s other -x 160 -y 48 \
    "XDG_STATE_HOME=$home XDG_RUNTIME_DIR=$home $program join --theme $1"
  sleep 4
  "${tmux[@]}" capture-pane -e -N -p -t other | python3 screenshots/svg.py 160 48 "${@:2}" > "screenshots/$1-160x48.svg"
  "${tmux[@]}" kill-session -t other
  echo "screenshots/$1-160x48.svg"
}

"${tmux[@]}" new-session -d -s keep
# A gate that wants a name: the autopilot drives up to the drain, and then a person takes the seat.
rehearse --speed 120
until_shown 'drains for another' 90
press t e
until_shown '▸[0-9]* Lock deploys ─' 120
press f Enter e
until_shown '▸[0-9]* Take a safety snapshot ─' 60
press f Enter e
until_shown '▸[0-9]* Maintenance page on ─' 60
press f Enter
until_shown 'ARMED\|armed' 10
shot armed-160x48 160 48

home=$(mktemp -d -p "$work")
rehearse --scenario error-spike --speed 60
until_shown 'rollback is proposed\|BREACH' 240
shot breach-160x48 160 48
looked_at light light
looked_at mono

# The timeline stands beside the last rehearsal that has ended.
home=$(mktemp -d -p "$work")
XDG_STATE_HOME=$home XDG_RUNTIME_DIR=$home "$program" rehearse --autopilot --headless --speed 120 > /dev/null
rehearse --and-back --speed 30
until_shown 'drains for another' 90
sleep 12
shot drain-160x48 160 48
shot drain-120x40 120 40
shot drain-80x24 80 24
"${tmux[@]}" resize-window -t s -x 160 -y 48
until_shown 'PENDING\|baking\|part 1 of 3' 120
sleep 8
shot switch-160x48 160 48
"${tmux[@]}" send-keys -t s R
sleep 1
shot rollback-160x48 160 48
"${tmux[@]}" send-keys -t s Escape
sleep 1
press 2 Left Left Left
shot graphs-160x48 160 48
press 6
shot timeline-160x48 160 48

# The recording: the autopilot drives, a person looks around.
"${tmux[@]}" kill-session -t s 2> /dev/null || true
home=$(mktemp -d -p "$work")
XDG_STATE_HOME=$home XDG_RUNTIME_DIR=$home python3 screenshots/cast.py screenshots/rehearsal.cast 110 32 40 \
  '10:2 12:\x1b[D 13:\x1b[D 14:\x1b[D 17:\x1b 18:1 21:R 26:\x1b 28:6 33:7 36:1' \
  "$program" rehearse --autopilot --and-back --speed 40
echo screenshots/rehearsal.cast
screenshots/check.sh --write
