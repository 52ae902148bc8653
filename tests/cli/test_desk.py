"""What every command has in common: signals, consoles, tables; and the rarer turns of letting in and watching."""

import asyncio
import functools
import io
import json
import os
import signal
import sys
import threading
import time

import pytest
import typer
from rich.console import Console

from aiogmail import oauth
from aiogmail.cli.desk import Desk, _console, run

from .conftest import ADDRESS
from .test_commands import consent, later

pytestmark = pytest.mark.slow
posix = pytest.mark.skipif(sys.platform == "win32", reason="there a program that is told to terminate just ends")


def desk(**more):
    return Desk(out=Console(file=io.StringIO(), **more), err=Console(file=io.StringIO()))


@posix
def test_sigterm_cancels_a_command_which_cleans_up():
    cleaned = []

    async def main():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    mine, before = desk(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended:
        run(mine, main)
    assert (ended.value.exit_code, cleaned) == (143, [True])
    assert mine.err.file.getvalue() == "aiogmail: terminated\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_command_without_a_main_thread_runs_too():
    done = []

    async def main():
        done.append(True)

    thread = threading.Thread(target=lambda: run(desk(), main))
    thread.start()
    thread.join()
    assert done == [True]


def test_a_table_on_a_terminal_is_a_table_and_its_first_column_is_in_one_piece():
    mine = desk(force_terminal=True, width=40, color_system="standard", _environ={})
    mine.give_table(("id", "subject"), [("0123456789abcdef", "a long\tsubject with \\[red]brackets[/red] " * 2)], ["bold"])
    shown = mine.out.file.getvalue()
    assert "\x1b[1m0123456789abcdef" in shown
    assert "\\[red]" in shown.replace("\n", "")
    assert "\t" not in shown


def test_no_color_is_no_style_at_all(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert _console(stderr=True).color_system is None


# -- letting in --------------------------------------------------------------------------------------------------------


def test_an_oauth_client_that_was_given_once_is_remembered(shell, monkeypatch):
    settings = json.loads((shell.home / "settings.json").read_text())
    secrets = shell.home / settings.pop("client_secrets")
    (shell.home / "settings.json").write_text(json.dumps(settings))
    monkeypatch.setattr("aiogmail.cli.accounts.login", functools.partial(oauth.login, open_browser=consent))
    shell("login", ADDRESS, "--client-secrets", str(secrets))
    secrets.unlink()
    assert "let in" in shell("login", ADDRESS).stderr
    kept = shell.home / "config" / "client_secrets.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_consent_by_another_account_is_refused_and_not_remembered(shell, monkeypatch):
    other = shell.server.add_account("other@gmail.com").credentials()

    async def login(*_, **__):
        return other

    monkeypatch.setattr("aiogmail.cli.accounts.login", login)
    shell("accounts", "--forget", ADDRESS)
    assert f"not by {ADDRESS}: log in again" in shell("login", ADDRESS, code=3).stderr
    assert "no account yet" in shell("accounts").stderr


# -- watching ----------------------------------------------------------------------------------------------------------


def test_a_cursor_that_cannot_be_read_is_told(shell):
    assert "cannot be read" in shell("watch", "--cursor", str(shell.home), code=2).stderr


@posix
def test_a_watch_that_is_terminated_takes_its_command_along(shell):
    place, started = shell.home / "cursor.json", shell.home / "started"

    def terminate():
        while not started.exists() or not started.read_text().strip():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    timer = later(shell, 1.0, "news")
    waiting = threading.Thread(target=terminate, daemon=True)
    waiting.start()
    result = shell("watch", "--cursor", str(place), "--exec", f'echo $$ > "{started}"; exec sleep 50', code=143)
    timer.join()
    waiting.join()
    assert "terminated" in result.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    [event] = shell.json("watch", "--cursor", str(place), "--count", "1")
    assert event["kind"] == "arrived", "told again"
