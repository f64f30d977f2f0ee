"""Records a program in a terminal of its own as an asciicast v2: cast.py FILE WIDTH HEIGHT SECONDS KEYS PROGRAM ARG...

KEYS are `second:keys` separated by spaces, e.g. `8:2 12:\\x1b[D`. The keys are sent as given; the program is ended by the
hang-up of its terminal. Source of the format: https://docs.asciinema.org/manual/asciicast/v2/
"""

import codecs
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

path, width, height, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
keys = [entry.split(":", 1) for entry in sys.argv[5].split()]
keys = [(float(at), codecs.decode(text, "unicode_escape").encode("latin-1")) for at, text in keys]
command = sys.argv[6:]

child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "xterm-256color"
    time.sleep(0.2)
    os.execvp(command[0], command)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

begun = time.monotonic()
decoder = codecs.getincrementaldecoder("utf-8")("replace")
title = "A rehearsal of cutover"
with open(path, "w", encoding="utf-8") as cast:
    head = {"version": 2, "width": width, "height": height, "title": title, "env": {"TERM": "xterm-256color"}}
    cast.write(json.dumps(head) + "\n")
    while (now := time.monotonic() - begun) < seconds:
        while keys and keys[0][0] <= now:
            os.write(terminal, keys.pop(0)[1])
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        text = decoder.decode(data)
        if text:
            cast.write(json.dumps([round(time.monotonic() - begun, 3), "o", text], ensure_ascii=False) + "\n")
os.kill(child, signal.SIGHUP)
os.close(terminal)
os.waitpid(child, 0)
