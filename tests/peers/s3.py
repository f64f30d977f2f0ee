"""The story of `s3.sh`: two homes are two machines, each with its own state, and cockpits in pseudo-terminals."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request

CUTOVER, WORK, PEER = os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3])
URL = "s3://journals/acme/production"
LOOK = 0.9  # more than a gate wants to be looked at
SILENT = 60  # seconds after which an engine may be taken over from

PLAN = """
name = "two-machines"
title = "Two machines"

[environments.staging]
kind = "staging"

[aws]
region = "us-east-1"

[sides.old]
label = "Heroku"
address = "127.0.0.1"

[sides.new]
label = "AWS"
address = "127.0.0.1"
"""

STEP = """
[[step]]
id = "{name}"
title = "Step {name}"
kind = "exec"
class = "reversible"
apply = ["{act}", "{name}", "{wait}"]
observe = ["grep", "-qx", "{name}", "{ledger}"]
undo = ["true"]
"""

LEDGER = os.path.join(WORK, "ledger")
STEPS = ["one", "two", "three", "four"]
ESCAPES = re.compile(rb"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|[()][0-9A-Za-z]|[=>78]|\][^\x07]*\x07)")


MACHINES = []


def say(text):
    print(f"ok   {text}", flush=True)


def until(what, holds, patience=30.0):
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > patience:
            for machine in MACHINES:
                machine.explain()
            raise SystemExit(f"FAIL never: {what}")
        time.sleep(0.05)


def done():
    with open(LEDGER) as ledger:
        return ledger.read().split()


class Machine:
    def __init__(self, name):
        self.name, self.home = name, os.path.join(WORK, name)
        os.makedirs(self.home, mode=0o700)
        self.env = {**os.environ, "XDG_STATE_HOME": self.home, "XDG_RUNTIME_DIR": self.home, "TERM": "xterm-256color"}
        self.pid = self.fd = None
        self.text = b""
        MACHINES.append(self)

    def run(self, *args):
        return subprocess.run([CUTOVER, *args], env=self.env, capture_output=True, text=True)

    def open(self, *args):
        """A cockpit in a terminal."""
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(CUTOVER, [CUTOVER, *args], self.env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        threading.Thread(target=self.read, args=(self.fd,), daemon=True).start()

    def read(self, fd):
        try:
            while chunk := os.read(fd, 65536):
                self.text += chunk
        except OSError:
            pass  # the terminal is closed

    def said(self, words):
        plain = ESCAPES.sub(b" ", self.text).decode(errors="replace")
        return words in re.sub(r"\s+", " ", plain)

    def wait_for(self, words, patience=30.0):
        until(f"{self.name} says {words!r}", lambda: self.said(words), patience)

    def explain(self):
        print(f"--- {self.name} shows:", ESCAPES.sub(b" ", self.text).decode(errors="replace")[-3000:])
        for folder, _, files in os.walk(self.home):
            if "engine.log" in files:
                print(open(os.path.join(folder, "engine.log")).read()[-3000:])

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def leave(self):
        """Quits the cockpit; its engine, if it has one, goes on."""
        self.press("q")
        self.gone()

    def gone(self):
        until(f"the cockpit of {self.name} ends", lambda: os.waitpid(self.pid, os.WNOHANG)[0] != 0)
        os.close(self.fd)

    def status(self):
        out = self.run("status", "--json").stdout
        return json.loads(out) if out else None

    def phase(self, step):
        status = self.status()
        return next(known["phase"] for known in status["steps"] if known["id"] == step)

    def live(self):
        status = self.status()
        return bool(status and status["live"])

    def arm_and_confirm(self):
        self.press("f")
        time.sleep(LOOK)
        self.press("\r")
        time.sleep(LOOK)
        self.press("e")

    def drive(self, step, phases=("done",), patience=60.0):
        begun = time.monotonic()
        while self.phase(step) not in phases:
            if time.monotonic() - begun > patience:
                print(json.dumps(self.status(), indent=1))
                self.explain()
                raise SystemExit(f"FAIL {self.name} never gets {step} to {phases}")
            if self.phase(step) in ("ready", "failed", "waiting"):
                self.arm_and_confirm()
            time.sleep(0.3)

    def session(self):
        return self.status()["session"]

    def journal(self):
        told = self.run("journal", "--json")
        assert told.returncode == 0, told.stderr
        return told.stdout.splitlines()

    def kill_engine(self):
        """As when the machine loses power: engine and cockpit at once."""
        os.kill(self.pid, signal.SIGKILL)
        os.kill(self.status()["engine"][0], signal.SIGKILL)
        self.gone()
        until("the engine is dead", lambda: not self.live())


def bucket():
    """S3's own interface, so that nothing of ours makes the bucket."""
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    request = urllib.request.Request(f"{endpoint}/journals", method="PUT", headers={
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"})

    def made():
        try:
            return urllib.request.urlopen(request, timeout=5).status == 200
        except OSError:
            return False
    until("the bucket is made", made)


def main():
    open(LEDGER, "w").close()
    act, plan = os.path.join(WORK, "act"), os.path.join(WORK, "plan.toml")
    with open(act, "w") as file:
        file.write(f'#!/bin/sh\nsleep "$2"; echo "$1" >> {LEDGER}\n')
    os.chmod(act, 0o700)
    with open(plan, "w") as file:
        waits = {"two": 2}
        steps = [STEP.format(name=name, wait=waits.get(name, 0), ledger=LEDGER, act=act) for name in STEPS]
        file.write(PLAN + "".join(steps))
    bucket()
    run = ("run", plan, "--env", "staging", "--journal", URL)
    one, two = Machine("one"), Machine("two")

    # Both begin at once: one acts, the other looks.
    one.open(*run)
    two.open(*run)
    until("one of them acts", lambda: one.live() or two.live())
    time.sleep(4)
    assert one.live() != two.live(), (one.live(), two.live())
    first, second = (one, two) if one.live() else (two, one)
    second.wait_for("this cockpit only looks")
    say("of two machines that begin at once, one acts and the other looks")
    first.drive("one")
    second.wait_for("one: verified")
    second.press("f\r")
    time.sleep(LOOK)
    assert done() == ["one"], done()
    say("what one does, the other sees, and it cannot act")

    # The bucket goes silent: nothing is done, and then it is.
    os.kill(PEER, signal.SIGSTOP)
    first.arm_and_confirm()
    first.wait_for("cannot be written since", 20)
    time.sleep(3)
    assert done() == ["one"], done()
    os.kill(PEER, signal.SIGCONT)
    say("without the bucket nothing is done, and the screen says since when")

    # The first machine dies in the middle of an act.
    first.drive("two", ("running", "verifying"))
    first.kill_engine()
    second.leave()
    second.open(*run)
    second.wait_for("heard of")
    second.wait_for("this cockpit only looks")
    second.leave()
    say("a machine that has just been heard of is not taken over from")
    time.sleep(SILENT + 2)
    second.open("join", URL)
    second.wait_for("it was last heard of", 10)
    second.leave()
    second.open(*run)
    second.wait_for("Type the session's name")
    second.press("yes\r")
    second.wait_for("not typed")
    second.leave()
    second.open(*run)
    second.wait_for("Type the session's name")
    session = first.session()
    second.press(session + "\r")
    second.wait_for("Step four")
    until("the second machine acts", second.live)
    say("a silent machine is taken over from by typing the session's name, and by nothing else")
    second.drive("two")
    second.drive("three")

    # The first machine comes back: it has lost.
    first.open(*run)
    first.wait_for("this cockpit only looks")
    assert not first.live()
    second.drive("four")
    first.wait_for("four: verified")
    first.leave()
    assert done() == STEPS, done()
    say(f"each act happened once: {' '.join(done())}")

    theirs, ours = second.journal(), first.journal()
    assert ours == theirs[:len(ours)] and len(theirs) > len(ours), (len(ours), len(theirs))
    assert second.run("journal", "--verify").returncode == 0
    started = [json.loads(line) for line in theirs if '"engine-started"' in line]
    say(f"one journal of {len(theirs)} events, {len(started)} engines, the first machine's copy a part of it")
    second.press("Q")
    time.sleep(LOOK)
    second.press("e")
    second.gone()
    assert second.status()["ended"]

    # A journal that was local is copied up, and goes on there.
    three, elsewhere = Machine("three"), URL + "-copy"
    three.open("run", plan, "--env", "staging")
    three.wait_for("Step four")
    refused = three.run("journal", "--copy-to", elsewhere)
    assert refused.returncode == 1, refused.stderr
    three.kill_engine()
    before = three.journal()
    copied = three.run("journal", "--copy-to", elsewhere)
    assert copied.returncode == 0, copied.stderr
    three.open("run", plan, "--env", "staging", "--journal", elsewhere)
    three.wait_for("Step four")
    three.leave()
    assert three.journal()[:len(before)] == before and len(three.journal()) > len(before)
    other = Machine("four")
    other.open("join", elsewhere)
    other.wait_for("Step four")
    other.leave()
    os.kill(three.status()["engine"][0], signal.SIGKILL)
    say("a local journal is copied up, and goes on there")
    taken = second.run("journal", "--copy-to", URL)
    assert taken.returncode != 0 and "already" in taken.stderr, taken.stderr
    say("a session is at one place only")


main()
