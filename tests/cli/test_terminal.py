"""A session at a terminal: the commands run under a pseudo-terminal, as a person has them, against the emulator's servers."""

import contextlib
import mailbox
import os
import re
import signal
import struct
import subprocess
import sys
import time
import urllib.request

import pytest

from aiogmail.testing import Fault

from .conftest import ADDRESS
from .test_commands import letter

POSIX = "pseudo-terminals are of POSIX systems"
fcntl = pytest.importorskip("fcntl", reason=POSIX)
termios = pytest.importorskip("termios", reason=POSIX)
EOF = pytest.importorskip("pexpect", reason=POSIX).EOF
fdspawn = pytest.importorskip("pexpect.fdpexpect", reason=POSIX).fdspawn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PATIENCE = 60
ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CURSOR_SHOWN = "\x1b[?25h"
CTRL_C = b"\x03"
CTRL_D = b"\x04"
# The terminal becomes the one that controls the program, so that its Ctrl-C is a signal. Done by the program itself: a fork with Python in
# it is not safe in a process with threads, and this one has the emulator's.
LAUNCH = (
    "import fcntl, runpy, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    # A shell gives what it starts in the background an interrupt that is ignored, and children inherit that.
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('aiogmail.cli', run_name='__main__', alter_sys=True)"
)
# What decides about colours, besides the terminal.
UNSET = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES", "GITHUB_ACTIONS")


def environment(shell, **more):
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    # A browser that opens nothing: the test is the person who opens the page.
    return {
        **kept,
        **{name: value for name, value in shell.env.items() if name != "NO_COLOR"},
        "TERM": "xterm-256color",
        "BROWSER": "true",
        **more,
    }


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, shell, *words, columns=160, **env):
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", LAUNCH, *words],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=environment(shell, **env),
                start_new_session=True,
            )
        finally:
            os.close(slave)
        self.screen = fdspawn(master, encoding="utf-8", timeout=PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.screen.close()

    def until(self, pattern):
        """Everything the terminal was sent up to the end of the pattern."""
        self.screen.expect(pattern)
        return self.screen.before + self.screen.after

    def press(self, key):
        os.write(self.screen.child_fd, key)

    def end(self, code=0):
        """The rest, once the program has ended with this code."""
        self.screen.expect(EOF)
        assert self.process.wait(PATIENCE) == code, self.screen.before
        return self.screen.before


def at_terminal(shell, *words, code=0, **env):
    with Terminal(shell, *words, **env) as terminal:
        return terminal.end(code)


def plain(shown):
    return COLOUR.sub("", shown)


def stalled(shell, byte):
    """The next export's connection falls silent in the middle of its messages, which it asks for after their sizes."""
    shell.server.faults.add(Fault("blackhole", command="UID FETCH", protocol="imap", point="reply", skip=3, byte=byte))


@contextlib.contextmanager
def half_an_export(shell, target):
    """An export that has begun to write."""
    stored = [shell.account.deliver(letter(f"Letter {number}", "x" * 900)) for number in range(120)]
    stalled(shell, 60_000)
    with Terminal(shell, "export", "--to", str(target), NO_COLOR="1") as terminal:
        deadline = time.monotonic() + PATIENCE
        while not (target / "cur").exists() or len(os.listdir(target / "cur")) < 20:
            assert terminal.process.poll() is None, "it ended before it was stopped"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield terminal, stored


def finish(shell, target, stored):
    """The same command again: every message once, nothing half-written."""
    shown = at_terminal(shell, "export", "--to", str(target), NO_COLOR="1")
    assert "120 messages in" in shown
    assert sorted(path.read_bytes() for path in (target / "cur").iterdir()) == sorted(one.raw for one in stored)
    assert not list((target / "tmp").iterdir())


def test_a_session_from_login_to_sending(shell):
    shell("accounts", "--forget", ADDRESS)
    stored = [shell.account.deliver(letter(f"Letter {number}", f"The text of {number}.")) for number in range(30)]

    with Terminal(shell, "login", ADDRESS, columns=80) as terminal:
        terminal.until("should open by itself\\):")
        address = plain(terminal.until(r"http://\S+\r\n")).strip()
        with urllib.request.urlopen(address, timeout=PATIENCE) as page:
            assert "aiogmail" in page.read().decode()
        assert "let in; 30 messages in INBOX" in terminal.end()

    shown = plain(at_terminal(shell, "search", "from:ann", "-n", "3"))
    assert re.search(r"id +date +from +subject +labels", shown)
    assert re.findall(r"Letter \d+", shown) == ["Letter 29", "Letter 28", "Letter 27"]
    [identity] = re.findall(r"(?m)^([0-9a-f]{16}) .*Letter 28", shown)

    shown = at_terminal(shell, "show", identity)
    assert "Subject: Letter 28\r\n" in shown
    assert "The text of 28." in shown

    target = shell.home / "maildir"
    shown = at_terminal(shell, "export", "--to", str(target))
    assert "30 of 30 messages" in plain(shown), "the bar"
    assert re.search(r"([\d.]+)/\1 kB", plain(shown)), "how much of how much"
    assert shown.rindex(CURSOR_SHOWN) < shown.index("verified")
    assert len(mailbox.Maildir(target, create=False)) == len(stored)

    with Terminal(shell, "send", "--to", "bob@example.com", "-s", "typed") as terminal:
        terminal.until("type the text")
        terminal.press(b"Typed by hand.\n" + CTRL_D)
        assert "confirmed by reply" in terminal.end()
    [submitted] = shell.account.ledger.submissions
    assert b"Typed by hand." in submitted.raw


def test_a_watch_tells_what_comes_and_ctrl_c_ends_it(shell):
    place = shell.home / "cursor.json"
    with Terminal(shell, "watch", "--cursor", str(place)) as terminal:
        terminal.until("watching; Ctrl-C ends it")
        shell.account.deliver(letter("one"))
        terminal.until("arrived\t")
        time.sleep(0.2)
        terminal.press(CTRL_C)
        shown = terminal.end(130)
    assert "aiogmail: interrupted" in shown
    assert "Traceback" not in shown
    assert [one.name for one in shell.home.iterdir() if "cursor" in one.name] == [place.name]
    shell.account.deliver(letter("two"))
    [event] = shell.json("watch", "--cursor", str(place), "--count", "1")
    [newest] = shell.json("search", "-n", "1")
    assert event["id"] == newest["id"], "it goes on behind what was told"


def test_ctrl_c_in_an_export_leaves_one_that_the_same_command_finishes(shell):
    target = shell.home / "maildir"
    with half_an_export(shell, target) as (terminal, stored):
        terminal.until("of 120 messages")
        terminal.press(CTRL_C)
        shown = terminal.end(130)
    assert "aiogmail: interrupted" in shown
    assert "Traceback" not in shown
    assert CURSOR_SHOWN in shown, "the terminal is as it was"
    finish(shell, target, stored)


def test_sigterm_in_an_export_ends_it_as_cleanly(shell):
    target = shell.home / "maildir"
    with half_an_export(shell, target) as (terminal, stored):
        terminal.process.send_signal(signal.SIGTERM)
        shown = terminal.end(143)
    assert "aiogmail: terminated" in shown
    assert "Traceback" not in shown
    assert CURSOR_SHOWN in shown
    assert len((target / "aiogmail-export.jsonl").read_text().splitlines()) > 20, "what was written need not be fetched again"
    finish(shell, target, stored)


def test_ctrl_c_while_typing_sends_nothing(shell):
    with Terminal(shell, "send", "--to", "bob@example.com", "-s", "typed") as terminal:
        terminal.until("type the text")
        terminal.press(b"I should rather\n")
        terminal.until("rather")
        time.sleep(0.2)
        terminal.press(CTRL_C)
        assert "aiogmail: interrupted" in terminal.end(130)
    assert not shell.account.ledger.submissions


def test_colours_are_for_terminals_and_for_those_who_want_them(shell):
    shell.account.deliver(letter("\\[red]boo[/red]"))
    shown = at_terminal(shell, "search")
    assert COLOUR.search(shown)
    assert "\\[red]boo[/red]" in shown, "no markup of strangers"
    assert ESCAPE not in at_terminal(shell, "search", NO_COLOR="1")
    assert "\x1b[31m" in at_terminal(shell, "show", "zz", code=2)
    assert ESCAPE not in at_terminal(shell, "show", "zz", code=2, NO_COLOR="1")


def test_a_narrow_terminal_keeps_ids_in_one_piece(shell):
    shell.account.deliver(letter("a subject that is much too long for such a terminal"))
    [found] = shell.json("search")
    assert found["id"] in at_terminal(shell, "search", columns=50)


def test_a_pipe_gets_tabs_and_no_colours(shell):
    shell.account.deliver(letter("piped"))
    done = subprocess.run(
        [sys.executable, "-m", "aiogmail.cli", "search"],
        env=environment(shell),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    [line] = done.stdout.splitlines()
    assert line.split("\t")[3] == "piped"
    assert ESCAPE not in done.stdout + done.stderr
