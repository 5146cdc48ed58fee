"""Closed streams, pipes whose reader ends, and impatient users."""

import signal
import subprocess
import sys
import time

import pytest

PCAVS = f"{sys.executable} -m pcavs"


def shell(command):
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "code", "out", "error"),
    [
        ("--help | head -1", 0, "usage: pcavs COMMAND [--setting VALUE ...]\n", ""),
        ("animate --help | true", 0, "", ""),
        ("--version >&-", 0, "", ""),
        ("nonsense 2>&-", 2, "", ""),
        ("nonsense 2>/dev/full", 2, "", ""),
        (
            "animate --help > /dev/full",
            1,
            "",
            "pcavs: error: standard output cannot be written (No space left on device)",
        ),
    ],
)
def test_a_reader_that_ends_is_no_error(command, code, out, error):
    found = shell(f"set -o pipefail; {PCAVS} {command}")
    assert found[:2] == (code, out)
    assert found[2].startswith(error)
    assert len(found[2].splitlines()) <= 1


STOPPED = """
import sys, time
from pcavs.terminal import stop_once
stop_once()
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    time.sleep(1)
    print("removed", flush=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_further_signals_do_not_interrupt_the_removal_of_files(sent):
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)],
    )
    assert process.stdout.readline() == "ready\n"
    for number in (sent, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.1)
    out, _ = process.communicate(timeout=60)
    assert out == "removed\n"
    assert process.returncode == (-signal.SIGINT if sent == signal.SIGINT else 128 + sent)


def test_a_signal_that_is_ignored_stays_ignored():
    code, out, _ = shell(
        f"trap '' HUP; {sys.executable} -c '{STOPPED.replace('60', '0')}' & sleep 0.5; kill -HUP $!; wait $!"
    )
    assert (code, out) == (0, "ready\nremoved\n")


def test_a_stop_that_was_lost_is_raised_again():
    """The exception of a signal's handler is lost in finalisers and callbacks: the film went on."""
    code = """
import os, signal
from pcavs import terminal

class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass

terminal.stop_once()
terminal.raise_if_stopped()
Finalised()
print("lost", flush=True)
terminal.raise_if_stopped()
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (143, "lost\n")
