"""Every snippet of the README is run, against the emulator where it talks to Gmail, and does what the text around it says."""

import builtins
import contextlib
import functools
import importlib.metadata
import inspect
import json
import mailbox
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
import warnings
from email.message import EmailMessage
from pathlib import Path

import pytest

import aiogmail
from aiogmail import oauth
from aiogmail.testing.background import BackgroundEmulator
from aiogmail.testing.oauth import CLIENT_ID, CLIENT_SECRET
from tests.cli.conftest import Shell

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"<!-- test: (\w+) -->\n```python\n(.*?)```", TEXT, re.DOTALL))
CLIENTS = ("Gmail", "ImapClient")


def letter(number, attachment=None):
    message = EmailMessage()
    message["From"], message["Subject"] = "Ann <ann@example.com>", f"{'invoice ' if attachment else ''}{number}"
    message["To"], message["Message-ID"] = "me@gmail.com", f"<{number}@example.com>"
    message.set_content("hello\n")
    if attachment:
        message.add_attachment(attachment, maintype="application", subtype="pdf", filename="../bill.pdf")
    return message.as_bytes()


class World:
    """An emulator in a thread of its own, since the snippets bring their own asyncio.run, and the folder they run in."""

    def __init__(self, server, folder, monkeypatch, capsys):
        self.server, self.folder, self._capsys = server, folder, capsys
        self.account = server.add_account("me@gmail.com")
        for number in range(1, 6):
            self.account.deliver(letter(number, b"%PDF-" + bytes(500) if number == 5 else None))
        (folder / "token.json").write_text(json.dumps(self.account.credentials().to_authorized_user_info()))
        monkeypatch.chdir(folder)
        for client in CLIENTS:
            there = getattr(aiogmail, client)
            monkeypatch.setattr(aiogmail, client, functools.partial(_with_servers, there, server.settings))

    def run(self, name):
        space = {"__name__": "snippet"}
        exec(compile(SNIPPETS[name], f"README: {name}", "exec"), space)
        self.space = space
        return self._capsys.readouterr().out


def _with_servers(client, servers, *arguments, settings=None, **options):
    """The snippet's own settings, if it has any, but the emulator's servers."""
    if settings is not None:
        servers = aiogmail.Settings(imap=servers.imap, smtp=servers.smtp, pop3=servers.pop3, budget=settings.budget)
    return client(*arguments, settings=servers, **options)


@pytest.fixture
def world(tmp_path, monkeypatch, capsys):
    with BackgroundEmulator() as server:
        yield World(server, tmp_path, monkeypatch, capsys)


def test_every_snippet_has_a_test():
    assert len(re.findall(r"```python", TEXT)) == len(SNIPPETS)
    tests = {name.removeprefix("test_snippet_") for name in globals() if name.startswith("test_snippet_")}
    assert tests == set(SNIPPETS)


def test_snippet_login(world, monkeypatch):
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    client |= {"auth_uri": world.server.url("/o/oauth2/v2/auth"), "token_uri": world.server.token_uri}
    Path("client_secret.json").write_text(json.dumps({"installed": client}))
    Path("token.json").unlink()

    def consent(url):
        with urllib.request.urlopen(url, timeout=10) as page:
            return bool(page.read())

    monkeypatch.setattr(aiogmail, "login", functools.partial(aiogmail.login, open_browser=consent))
    world.run("login")
    assert Path("token.json").stat().st_mode & 0o777 == 0o600
    assert world.run("read").startswith("5 messages\n")


def test_snippet_read(world):
    out = world.run("read").splitlines()
    assert out[0] == "5 messages"
    assert out[1] == "1 1 [] 7", "INBOX itself is left out, as Gmail leaves the selected label out"
    assert len(out) == 6


def test_snippet_search(world):
    out = world.run("search").splitlines()
    assert out[0] == "1:5"
    assert len(out) == 6
    assert all(line.endswith(" 1") for line in out[1:])


def test_snippet_attachments(world):
    assert world.run("attachments") == "../bill.pdf application/pdf 505\n"
    assert Path("5-2.bin").read_bytes().startswith(b"%PDF-")


def test_snippet_change(world):
    out = world.run("change")
    assert out.startswith("2 moved; the UIDs there: [1, 2]\nappended as ")
    assert "\nNews None 2\n" in out
    stored = {one.message_id: one for one in world.account.messages}
    assert "\\Seen" in stored["<1@example.com>"].flags
    assert {"Work/2026", "\\Starred"} <= set(stored["<1@example.com>"].labels)
    assert "\\Inbox" not in stored["<4@example.com>"].labels
    assert "\\Trash" in stored["<5@example.com>"].labels
    assert "<later@gmail.com>" in stored


def test_snippet_watch(world):
    """The worker runs until it is stopped; started again, it goes on behind the last event it saved."""

    def worker():
        source = SNIPPETS["watch"].replace("async for event in events:", "async for event in _most(events):")
        prelude = (
            "import aiogmail, functools, pickle\n"
            "async def _most(events, count=2):\n"
            "    async for event in events:\n"
            "        yield event\n"
            "        count -= 1\n"
            "        if not count: return\n"
        )
        space = {"__name__": "snippet"}
        exec(compile(prelude, "prelude", "exec"), space)
        exec(compile(source, "README: watch", "exec"), space)

    timer = threading.Timer(1.0, lambda: [world.account.deliver(letter(number)) for number in (6, 7, 8)])
    timer.start()
    worker()
    timer.join()
    first = world._capsys.readouterr().out.splitlines()
    world.account.deliver(letter(9))
    worker()
    rest = world._capsys.readouterr().out.splitlines()
    assert len(first) == len(rest) == 2
    assert len({*first, *rest}) == 4
    assert all(line.startswith("arrived ") for line in (*first, *rest))
    saved = Path("cursor.json").read_text()
    world.account.deliver(letter(10))
    with pytest.MonkeyPatch.context() as patch:
        write = Path.write_text

        def cut(path, text):
            write(path, text[:1])
            raise KeyboardInterrupt

        patch.setattr(Path, "write_text", cut)
        with pytest.raises(KeyboardInterrupt):
            worker()
    assert Path("cursor.json").read_text() == saved, "a program that is killed while it saves still has the place before"


def test_snippet_send(world):
    out = world.run("send").splitlines()
    assert out[0].startswith("sent reply <")
    assert sorted(out[1:]) == ["('ann@example.com',)", "('bob@example.com',)"]
    assert len(world.account.ledger.submissions) == 3


def test_snippet_pop3(world):
    out = world.run("pop3").splitlines()
    assert [line.split(maxsplit=2)[2] for line in out] == ["1", "2", "3", "4", "invoice 5"]


def test_snippet_many(world):
    assert world.run("many") == "[5, 5, 5]\n"
    assert (world.folder / "private" / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert len(world.account.tokens) == 1, "one cache, one token"


def test_snippet_service(world):
    key = world.server.add_service_account()
    Path("service.json").write_text(json.dumps(key))
    assert world.run("service") == "['INBOX']\n"


def test_snippet_fastapi(world):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its test client warns of is between it and httpx
        testclient = pytest.importorskip("fastapi.testclient", reason="FastAPI is not installed")
    world.run("fastapi")
    with contextlib.closing(testclient.TestClient(world.space["app"])) as client, client:
        assert client.get("/unread").json() == ["1", "2", "3", "4", "invoice 5"]


def test_snippet_events(world):
    out = world.run("events").splitlines()
    assert out[0].startswith("connected INBOX")


def test_snippet_fixture(tmp_path):
    (tmp_path / "test_snippet.py").write_text(SNIPPETS["fixture"])
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


def test_snippet_aioimaplib(world):
    assert world.run("aioimaplib") == "OK 1 2 3 4 5\n"


def test_snippet_settings(world):
    world.run("settings")
    assert world.space["settings"].smtp.security == "starttls"


def test_every_command_line_runs(world, monkeypatch):
    """Each line of a shell block that begins with aiogmail, in their order; a watch ends with its first event, and an id is one that was found."""
    shell = Shell(world.server, world.account, world.folder)
    shell.write_settings()
    settings = json.loads(Path("settings.json").read_text())
    Path(settings.pop("client_secrets")).rename("client_secret.json")
    Path("settings.json").write_text(json.dumps(settings))
    Path("bill.pdf").write_bytes(b"%PDF-")

    def consent(url):
        with urllib.request.urlopen(url, timeout=10) as page:
            return bool(page.read())

    monkeypatch.setattr("aiogmail.cli.accounts.login", functools.partial(oauth.login, open_browser=consent))
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    lines = [shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines() if line.startswith("aiogmail ")]
    assert [words[0] for words in lines] == ["login", "search", "show", "export", "watch", "send"]
    login, search, show, export, watch, send = lines
    assert "let in" in shell(*login).stderr
    [found] = shell(*search).stdout.splitlines()
    shell(*[word if word != "ID" else found.split("\t")[0] for word in show])
    assert [one.name for one in Path("attachments").iterdir()] == ["_bill.pdf"]
    assert "5 messages" in shell(*export).stderr
    assert len(mailbox.Maildir("backup", create=False)) == 5
    timer = threading.Timer(1.0, lambda: world.account.deliver(letter(6)))
    timer.start()
    shell(*watch, "--count", "1")
    timer.join()
    assert json.loads(Path("events.jsonl").read_text())["kind"] == "arrived"
    assert "confirmed by reply" in shell(*send).stdout


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


def test_the_names_and_exit_codes_in_the_text_exist():
    named = {word for word in re.findall(r"`([A-Z][A-Za-z0-9]+)`", TEXT) if not hasattr(builtins, word)}
    assert {name for name in named if not hasattr(aiogmail, name)} == {"IMAP4ClientProtocol"}, "which is aioimaplib's"
    from aiogmail.cli.desk import EXIT_CODES

    codes = re.search(r"the exit code says its kind: (.*?)\.\n", TEXT, re.DOTALL)[1]
    assert {int(code) for code in re.findall(r"\d+", codes)} == {code for _, code, _ in EXIT_CODES}


def test_every_error_is_in_the_table_of_errors():
    kinds = {
        name for name in aiogmail.__all__ if inspect.isclass(kind := getattr(aiogmail, name)) and issubclass(kind, aiogmail.GmailError)
    }
    told = set(re.findall(r"`(\w+)`", TEXT.partition("\n## Errors\n")[2].partition("\n## ")[0]))
    assert kinds - told == {"AuthError", "TransportError"}, "which are only the names of their kinds"


def test_the_files_and_folders_in_the_text_exist():
    named = re.findall(r"`([a-z_0-9]+/[a-z_/0-9.]*)`", TEXT)
    assert named
    assert [name for name in named if not (Path(aiogmail.__file__).parent / name).exists()] == []


def test_the_drawing_of_the_house_names_every_room():
    drawing = TEXT.partition("doors for people")[0].rpartition("```text")[2] + TEXT.partition("doors for people")[2].partition("```")[0]
    rooms = {path.stem for path in Path(aiogmail.__file__).parent.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert {room for room in rooms if not room.startswith("__")} <= set(re.findall(r"\w+", drawing))
