"""Every snippet of the README is run, against the emulator where it talks to Gmail."""

import asyncio
import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import aiogmail
from aiogmail.testing import GmailEmulator

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


class Background:
    """An emulator in a thread of its own: the snippets bring their own asyncio.run."""

    def __enter__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        self._ready.wait()
        return self

    async def _main(self):
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with GmailEmulator() as server:
            account = server.add_account("me@gmail.com")
            for number in range(1, 6):
                account.deliver(
                    b"From: Ann <ann@example.com>\r\nSubject: %d\r\nMessage-ID: <%d@example.com>\r\n\r\nhello\r\n" % (number, number)
                )
            self.settings = server.settings
            self.token = json.dumps(account.credentials().to_authorized_user_info())
            self.server = server
            self._ready.set()
            await self._stop.wait()

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


def test_there_are_snippets():
    assert len(SNIPPETS) >= 3


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(number, monkeypatch, tmp_path, capsys):
    with Background() as gmail:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "token.json").write_text(gmail.token)
        for client in ("Gmail", "ImapClient"):
            monkeypatch.setattr(aiogmail, client, functools.partial(getattr(aiogmail, client), settings=gmail.settings))
        if "def test_" in SNIPPETS[number]:
            (tmp_path / "test_snippet.py").write_text(SNIPPETS[number])
            # The fixtures come with the installed package; run from a checkout they have to be named.
            installed = any(point.name == "aiogmail" for point in importlib.metadata.entry_points(group="pytest11"))
            plugin = [] if installed else ["-p", "aiogmail.testing.plugin"]
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "--rootdir", tmp_path, tmp_path],
                env={**os.environ, "PYTHONPATH": str(README.parent)},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert "1 passed" in done.stdout, done.stdout
            return
        exec(compile(SNIPPETS[number], f"README snippet {number}", "exec"), {"__name__": "snippet"})
        out = capsys.readouterr().out
        if "inbox.state.exists, " in SNIPPETS[number]:
            assert "5 messages" in out
            assert out.count("\n") == 6
        if "aioimaplib" in SNIPPETS[number]:
            assert out == "OK 1 2 3 4 5\n"
        if "FileTokenStore" in SNIPPETS[number]:
            assert out == "5\n"
            assert (tmp_path / "private" / "tokens.json").stat().st_mode & 0o777 == 0o600
        if "asyncio.gather" in SNIPPETS[number]:
            assert out == "[5, 5, 5]\n"
            assert len(gmail.server.account("me@gmail.com").tokens) == 1, "one cache, one token"


def test_the_ci_runs_the_commands_of_the_readme():
    [command] = re.findall(r"<!-- command: tests -->\n```sh\n(.*?)\n```", TEXT)
    assert command.endswith("nox")
    [demo] = re.findall(r"<!-- command: demo -->\n```sh\n(.*?)\n```", TEXT)
    assert demo.endswith("aiogmail demo")


def test_ci_runs_whatever_the_readme_says(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(README.parent / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "README.md").write_text("x\n<!-- command: tests -->\n```sh\necho the very command\n```\n```sh\necho another\n```\n")
    done = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "+ echo the very command\nthe very command\n"
