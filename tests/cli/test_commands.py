"""The commands that read, send and watch, as a person at a shell meets them; the emulator's ledger says what was done."""

import base64
import email
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from email.message import EmailMessage

import pytest
from typer.testing import CliRunner

from aiogmail import errors, oauth
from aiogmail.cli import desk as desk_module
from aiogmail.cli.app import app
from aiogmail.cli.desk import exit_code
from aiogmail.testing import Fault

from .conftest import ADDRESS

pytestmark = pytest.mark.slow


def letter(subject, text="Hello.", attachments=()):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ann Example <ann@example.com>", ADDRESS, subject
    message["Message-ID"] = f"<{abs(hash(subject))}@example.com>"
    message.set_content(text)
    for name, data in attachments:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def test_labels_are_listed_with_their_counts(shell):
    shell.account.deliver(letter("one"), labels=("\\Inbox", "Work/2026"))
    shell.account.deliver(letter("two"))
    lines = dict(line.split("\t", 1) for line in shell("labels").stdout.splitlines())
    assert lines["INBOX"] == "2\t2\tinbox"
    assert lines["Work/2026"] == "1\t1\t"
    found = {one["name"]: one for one in shell.json("labels")}
    assert found["[Gmail]/All Mail"] == {
        "name": "[Gmail]/All Mail",
        "special_use": "all",
        "messages": 2,
        "unseen": 2,
        "selectable": True,
    }


def test_search_takes_gmails_words_and_gives_the_newest_first(shell):
    for number in range(5):
        shell.account.deliver(letter(f"Letter {number}"))
    rows = [line.split("\t") for line in shell("search", "from:ann", "-n", "2").stdout.splitlines()]
    assert [row[3] for row in rows] == ["Letter 4", "Letter 3"]
    assert rows[0][2] == "Ann Example"
    assert rows[0][4] == "\\Inbox"
    told = shell("search", "from:ann", "-n", "2").stderr
    assert "the newest 2 of 5" in told
    assert "nothing found" in shell("search", "from:nobody").stderr
    assert len(shell.json("search", "--limit", "0")) == 5


@pytest.mark.parametrize("command", ["search", "export"])
def test_words_that_begin_with_a_minus_come_behind_two_and_the_help_says_so(shell, command):
    for name in ("one", "two"):
        shell.account.deliver(letter(name))
    if command == "search":
        assert [line.split("\t")[3] for line in shell("search", "--", "-subject:one").stdout.splitlines()] == ["two"]
    else:
        assert "1 messages in" in shell("export", "--to", str(shell.home / "maildir"), "--", "-subject:one").stderr
    assert "after -- if it begins with a minus" in " ".join(shell(command, "--help").stdout.replace("│", " ").split())


def test_search_looks_into_one_label_or_into_inbox_where_all_mail_is_hidden(shell):
    shell.account.deliver(letter("here"), labels=("Work",))
    assert [one["subject"] for one in shell.json("search", "--label", "Work")] == ["here"]
    assert shell.json("search", "--label", "INBOX") == []
    assert "no-such" in shell("search", "--label", "no-such", code=5).stderr


@pytest.mark.parametrize("words", [("search",), ("export", "--to", "archive")])
def test_what_is_only_inbox_because_all_mail_is_hidden_is_said_to_be(shell, words, monkeypatch):
    monkeypatch.chdir(shell.home)
    shell.account.deliver(letter("one"))
    assert "INBOX alone" not in shell(*words).stderr
    shell.server.configure(hidden=frozenset({"[Gmail]/All Mail"}))
    assert "INBOX alone: All Mail is hidden from IMAP" in shell(*words).stderr


def test_a_search_that_found_nothing_says_where_it_did_not_look(shell):
    shell.account.deliver(letter("one"), labels=["[Gmail]/Trash"])
    assert "Trash and Spam are looked into with --label" in shell("search", "subject:one").stderr
    assert "one" in shell("search", "subject:one", "--label", "[Gmail]/Trash").stdout


def test_a_subject_cannot_steer_the_terminal_or_write_markup(shell):
    shell.account.deliver(letter("[red]boo[/red]"))
    shell.account.deliver(b"From: a@b.c\r\nSubject: \x1b]0;owned\x07x\r\nMessage-ID: <x@y.z>\r\n\r\nbody \x1b[2J\r\n")
    out = shell("search").stdout
    assert "[red]boo[/red]" in out
    assert "\x1b" not in out, "nor by way of a pipe"
    for one in shell.json("search"):
        assert "\x1b" not in shell("show", one["id"]).stdout


def test_show_gives_headers_text_and_attachments_and_marks_nothing(shell):
    stored = shell.account.deliver(letter("Grüße", "Ein Text.\n", [("../a:b.bin", b"12345")]))
    [found] = shell.json("search")
    out = shell("show", found["id"]).stdout
    assert "Subject: Grüße\n" in out
    assert "Ein Text." in out
    assert re.search(r"\[2\] .*b\.bin  application/octet-stream, \d+ octets", out)
    assert "Message-ID: <" in shell("show", found["id"], "--headers").stdout
    assert shell("show", found["id"], "--raw").stdout_bytes == stored.raw
    assert shell("show", found["id"], "--part", "2").stdout_bytes == b"12345"
    assert "\\Seen" not in stored.flags


def test_attachments_are_saved_under_safe_names_and_overwrite_nothing(shell):
    shell.account.deliver(letter("files", attachments=[("../../x.txt", b"one"), ("x.txt", b"two"), ("x.txt", b"three")]))
    [found] = shell.json("search")
    folder = shell.home / "out"
    shell("show", found["id"], "--save", str(folder))
    assert {path.read_bytes() for path in folder.iterdir()} == {b"one", b"two", b"three"}
    assert all(path.parent == folder for path in folder.rglob("*"))
    shell("show", found["id"], "--raw", "--save", str(folder))
    assert (folder / f"{found['id']}.eml").read_bytes().startswith(b"From: Ann")
    shell("show", found["id"], "--part", "3", "--save", str(shell.home / "one"))
    assert (shell.home / "one" / "x.txt").read_bytes() == b"two"


def test_what_is_not_there_is_told(shell):
    shell.account.deliver(letter("plain"))
    [found] = shell.json("search")
    assert "expected up to 16 hexadecimal digits" in shell("show", "zz", code=2).stderr
    assert "no such message" in shell("show", "1", code=2).stderr
    assert "no part 7" in shell("show", found["id"], "--part", "7", "--save", str(shell.home), code=2).stderr
    assert "no attachments" in shell("show", found["id"], "--save", str(shell.home / "none")).stderr


def test_what_cannot_be_saved_is_one_line(shell):
    shell.account.deliver(letter("files", attachments=[("x.txt", b"one")]))
    [found] = shell.json("search")
    (shell.home / "file").write_text("")
    for target in (shell.home / "file", shell.home / "file" / "below"):
        told = shell("show", found["id"], "--save", str(target), code=2).stderr
        assert "cannot be written" in told
        assert len(told.splitlines()) == 1


@pytest.mark.parametrize("words", [("--raw", "--part", "1"), ("--html", "--headers"), ("--headers", "--save", "x")])
def test_one_thing_is_shown_at_a_time(shell, words):
    shell.account.deliver(letter("plain"))
    assert "one at a time" in shell("show", shell.json("search")[0]["id"], *words, code=2).stderr


def test_a_message_of_html_alone_says_how_to_see_it(shell):
    shell.account.deliver(b"Subject: news\r\nContent-Type: text/html\r\nMessage-ID: <h@y.z>\r\n\r\n<p>News</p>\r\n")
    [found] = shell.json("search")
    assert "--html shows it" in shell("show", found["id"]).stderr
    assert "<p>News</p>" in shell("show", found["id"], "--html").stdout


def as_a_program(person, line, *, shell=None, **more):
    """A command line in a shell of its own, where what is written to is no object of this test's."""
    command = f'"{sys.executable}" -m aiogmail.cli {line}'
    environment = {**os.environ, **person.env, **more}
    return subprocess.run(command, shell=True, executable=shell, env=environment, capture_output=True, timeout=30, check=False)


def test_a_locale_without_the_letters_gets_them_escaped(shell):
    shell.account.deliver("From: a@b.c\r\nSubject: Grüße\x9b\u2028!\r\nMessage-ID: <l@y.z>\r\n\r\nÄ\r\n".encode())
    done = as_a_program(shell, "search", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"Gr\xfc\xdfe" in done.stdout
    for encoding in ("ascii", "utf-8"):
        [line] = as_a_program(shell, "search --json", PYTHONIOENCODING=encoding).stdout.decode().splitlines()
        assert json.loads(line)["subject"] == "Grüße\x9b\u2028!"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
def test_output_that_cannot_be_written_is_one_line_and_no_claim_that_nothing_was_sent(shell):
    shell.account.deliver(letter("one"))
    done = as_a_program(shell, "search > /dev/full")
    assert done.returncode == 1
    assert done.stderr == b"aiogmail: output: cannot be written: No space left on device\n"
    assert as_a_program(shell, "search >&-").returncode == 0


# -- sending -----------------------------------------------------------------------------------------------------------


def test_a_message_is_sent_once_and_told(shell):
    shell.account.deliver(letter("x"))
    (shell.home / "notes.txt").write_text("notes")
    words = (
        "send",
        "--to",
        "Bob <bob@example.com>",
        "--cc",
        "eve@example.com",
        "--bcc",
        "mallory@example.com",
        "-s",
        "Grüße",
        "-t",
        "Hallo",
    )
    out = shell(*words, "--attach", str(shell.home / "notes.txt")).stdout
    [submitted] = shell.account.ledger.submissions
    assert submitted.message_id in out
    assert set(submitted.recipients) == {"bob@example.com", "eve@example.com", "mallory@example.com"}
    assert b"mallory" not in submitted.raw
    assert b'filename="notes.txt"' in submitted.raw


def test_attachments_have_a_type_that_fits_their_octets(shell):
    for name in ("a.tar.gz", "b.eml", "c.png"):
        (shell.home / name).write_bytes(b"From: x")
    shell(
        "send",
        "--to",
        "bob@example.com",
        "-t",
        "x",
        *(word for name in ("a.tar.gz", "b.eml", "c.png") for word in ("--attach", str(shell.home / name))),
    )
    [submitted] = shell.account.ledger.submissions
    found = [part.get_content_type() for part in email.message_from_bytes(submitted.raw).walk()]
    assert found[2:] == ["application/octet-stream", "application/octet-stream", "image/png"]


def test_the_text_or_the_whole_message_may_come_from_standard_input(shell):
    shell("send", "--to", "bob@example.com", "-s", "piped", stdin="from a pipe\n")
    [result] = [
        json.loads(
            shell("send", "--file", "-", "--json", stdin=letter("whole").decode().replace(f"To: {ADDRESS}", "To: bob@example.com")).stdout
        )
    ]
    assert result["status"] == "sent"
    first, second = shell.account.ledger.submissions
    assert b"from a pipe" in first.raw
    assert b"Subject: whole" in second.raw


def test_a_reply_that_is_lost_is_looked_up(shell):
    shell.server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    assert "confirmed by lookup" in shell("send", "--to", "bob@example.com", "-s", "once", "-t", "x").stdout
    assert len(shell.account.ledger.submissions) == 1


def test_a_send_that_nobody_can_settle_has_an_exit_code_of_its_own(shell):
    shell.server.configure(sent_copy=False)
    shell.server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    result = shell("send", "--to", "bob@example.com", "-t", "x", "--settle-timeout", "0.5", code=6)
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert len(shell.account.ledger.submissions) == 1


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_a_send_that_is_interrupted_on_its_way_does_not_claim_that_nothing_was_sent(shell, word):
    shell.server.faults.add(Fault("blackhole", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    launch = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from aiogmail.cli import main; main()"
    command = [sys.executable, "-c", launch, "send", "--to", "bob@example.com", "-t", "x"]
    with subprocess.Popen(command, env={**os.environ, **shell.env}, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not shell.account.ledger.submissions:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(word)
        told = process.stderr.read()
        assert process.wait(30) == 6
    assert "look into Sent" in told
    assert len(told.splitlines()) == 1
    assert len(shell.account.ledger.submissions) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-s", "x", "-t", "y"), "nobody is to get it"),
        (("--to", "not an address", "-t", "y"), "not an address"),
        (("--file", "missing.eml"), "cannot be read"),
        (("--file", "-", "--to", "bob@example.com"), "goes with none of the options"),
        (("--to", "bob@example.com", "-t", "y", "--attach", "missing"), "cannot be read"),
        (("--to", "bob@example.com", "-t", "y", "-s", "a\nBcc: eve@example.com"), "subject"),
        (("--to", "bob@example.com", "-t", "caf\udce9"), "no text in this locale's encoding"),
        (("--to", "bob@example.com", "-t", "y", "-s", "caf\udce9"), "aiogmail: subject: is no text in this locale's encoding"),
        (("--to", "caf\udce9@example.com", "-t", "y"), "aiogmail: to: is no text in this locale's encoding"),
        (("--to", "bob@example.com", "--attach", "-"), "attach: standard input can be read once"),
        (("--to", "bob@example.com", "-t", "y", "--attach", "-", "--attach", "-"), "attach: standard input can be read once"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(shell, words, said):
    result = shell("send", *words, code=2, stdin="")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not shell.account.ledger.submissions


def test_a_file_whose_name_is_no_text_is_attached_under_one_that_is(shell):
    path = os.fsencode(shell.home) + b"/caf\xe9.bin"
    try:
        with open(path, "wb") as file:
            file.write(b"octets")
    except OSError:
        pytest.skip("this file system has text for names")
    shell("send", "--to", "bob@example.com", "-t", "x", "--attach", os.fsdecode(path))
    sent = email.message_from_bytes(shell.account.ledger.submissions[0].raw, policy=email.policy.default)
    [attached] = sent.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("caf�.bin", b"octets")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes it")
def test_standard_input_that_is_closed_is_an_empty_one(shell):
    words = [sys.executable, "-m", "aiogmail.cli", "send", "--to", "bob@example.com", "-s", "empty"]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *words]
    done = subprocess.run(closed, env={**os.environ, **shell.env}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(shell.account.ledger.submissions) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("export", "--to", ""),
        ("show", "1", "--save", ""),
        ("send", "--to", "bob@example.com", "-t", "x", "--attach", ""),
        ("send", "--file", ""),
        ("watch", "--cursor", ""),
        ("login", ADDRESS, "--client-secrets", ""),
        ("--settings", "", "labels"),
    ],
)
def test_a_path_that_is_empty_is_not_the_folder_one_is_in(shell, words, monkeypatch):
    monkeypatch.chdir(shell.home)
    before = sorted(shell.home.iterdir())
    told = shell(*words, code=2).stderr
    assert "expected a path, got none" in " ".join(told.replace("│", " ").split())
    assert words[words.index("") - 1] in told
    assert sorted(shell.home.iterdir()) == before


# -- watching ----------------------------------------------------------------------------------------------------------


def later(shell, seconds, *subjects):
    def deliver():
        for subject in subjects:
            shell.account.deliver(letter(subject))

    timer = threading.Timer(seconds, deliver)
    timer.start()
    return timer


def test_watch_tells_each_event_and_goes_on_from_its_cursor(shell):
    shell.account.deliver(letter("old"))
    place = shell.home / "cursor.json"
    timer = later(shell, 1.0, "first", "second", "third")
    first = shell.json("watch", "--label", "INBOX", "--cursor", str(place), "--count", "2")
    timer.join()
    assert [one["kind"] for one in first] == ["arrived", "arrived"]
    assert place.stat().st_mode & 0o777 == 0o600
    rest = shell.json("watch", "--label", "INBOX", "--cursor", str(place), "--count", "1")
    assert {one["uid"] for one in (*first, *rest)} == {2, 3, 4}
    assert len({tuple(one["key"]) for one in (*first, *rest)}) == 3


def test_watch_runs_a_command_for_each_event_and_tells_one_that_failed_again(shell):
    place, seen = shell.home / "cursor.json", shell.home / "seen"
    timer = later(shell, 1.0, "news")
    words = ("watch", "--cursor", str(place), "--count", "1")
    assert "ended with 3" in shell(*words, "--exec", "exit 3", code=2).stderr
    timer.join()
    shell(*words, "--exec", f'cat > "{seen}"; test "$AIOGMAIL_KIND" = arrived')
    told = json.loads(seen.read_text())
    assert (told["kind"], told["uid"]) == ("arrived", 1), "also the very first"
    shell.account.deliver(letter("yet more"))
    assert "ended with 9" in shell(*words, "--exec", "exit 9", code=2).stderr
    assert [one["kind"] for one in shell.json(*words)] == ["arrived"], "told again"


def test_a_cursor_file_that_is_none_is_told(shell):
    (shell.home / "cursor.json").write_text("{}")
    assert "cursor" in shell("watch", "--cursor", str(shell.home / "cursor.json"), code=2).stderr


def test_a_watch_that_ended_before_its_first_event_is_gone_on_with(shell):
    place = shell.home / "cursor.json"
    command = [sys.executable, "-m", "aiogmail.cli", "watch", "--cursor", str(place)]
    with subprocess.Popen(command, env={**os.environ, **shell.env}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("watching")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    stored = shell.account.deliver(letter("while nobody watched"))
    [event] = shell.json("watch", "--cursor", str(place), "--count", "1")
    assert event["id"] == f"{stored.gmail_id:016x}"


def test_a_cursor_that_cannot_be_written_is_told_before_anything_is(shell):
    result = shell("watch", "--cursor", str(shell.home / "none" / "cursor.json"), code=2)
    assert "cannot be written" in result.stderr
    assert result.stdout == ""


# -- accounts ----------------------------------------------------------------------------------------------------------


def test_accounts_are_listed_chosen_and_forgotten(shell):
    assert shell("accounts").stdout.split() == [ADDRESS, "default", "file", "Gmail"]
    assert shell.json("accounts")[0]["default"] is True
    assert "not logged in here" in shell("--account", "other@gmail.com", "labels", code=2).stderr
    shell("accounts", "--default", ADDRESS)
    shell("accounts", "--forget", ADDRESS)
    assert not list((shell.home / "config" / "credentials").iterdir())
    assert "no account yet" in shell("accounts").stderr
    assert "run: aiogmail login" in shell("labels", code=2).stderr


def consent(url):
    """Follow the consent page's redirects, as a browser would."""
    with urllib.request.urlopen(url, timeout=10) as page:
        return bool(page.read())


@pytest.mark.parametrize("one", [5, {"settings": 5}])
def test_an_accounts_file_that_is_damaged_is_told(shell, one):
    (shell.home / "config" / "accounts.json").write_text(json.dumps({"version": 1, "accounts": {ADDRESS: one}}))
    assert f"{ADDRESS}: damaged; remove the file" in shell("accounts", code=2).stderr


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_one_that_is_no_list_of_accounts_is_told_before_anybody_consents(shell, monkeypatch, text):
    def nobody(*_, **__):
        raise AssertionError("asked for consent")

    monkeypatch.setattr("aiogmail.cli.accounts.login", nobody)
    (shell.home / "config" / "accounts.json").write_text(text)
    for command in (("accounts",), ("login", ADDRESS)):
        assert "remove the file, then log in again" in shell(*command, code=2).stderr


def test_no_account_is_none_that_could_be_logged_in(shell):
    assert "account: expected an address" in shell("--account", "", "labels", code=2).stderr


def test_a_consent_that_is_lost_says_to_log_in_again(shell):
    (shell.home / "config" / "credentials" / f"{ADDRESS}.json").unlink()
    assert f"run: aiogmail login {ADDRESS}" in shell("labels", code=2).stderr


def test_a_folder_that_cannot_be_written_is_told_before_anybody_consents(shell, monkeypatch):
    def nobody(*_, **__):
        raise AssertionError("asked for consent")

    monkeypatch.setattr("aiogmail.cli.accounts.login", nobody)
    (shell.home / "file").write_text("")
    shell.env["AIOGMAIL_HOME"] = str(shell.home / "file" / "below")
    assert "AIOGMAIL_HOME names another folder" in shell("login", ADDRESS, code=2).stderr


def test_login_tries_the_account_and_then_remembers_it(shell, monkeypatch):
    shell("accounts", "--forget", ADDRESS)
    monkeypatch.setattr("aiogmail.cli.accounts.login", functools.partial(oauth.login, open_browser=consent))
    assert "let in; 0 messages in INBOX" in shell("login", ADDRESS).stderr
    assert shell.json("accounts")[0]["servers"].endswith("settings.json")
    shell.account.deliver(letter("after"))
    assert len(shell.json("search")) == 1


def test_a_login_without_an_oauth_client_says_how_to_get_one(shell):
    settings = json.loads((shell.home / "settings.json").read_text())
    del settings["client_secrets"]
    (shell.home / "settings.json").write_text(json.dumps(settings))
    assert "Desktop app" in shell("login", ADDRESS, code=2).stderr
    other = shell.home / "other.json"
    other.write_text("{}")
    assert "Desktop app" in shell("login", ADDRESS, "--client-secrets", str(other), code=2).stderr


# -- servers, errors, exit codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nonsense", "not JSON"),
        ("[]", "expected a JSON object"),
        ('{"imapp": {}}', "unknown members imapp"),
        ('{"imap": 5}', "imap: expected an object"),
        ('{"imap": {"host": "x", "port": 99999}}', "settings.json: imap: Endpoint.port"),
        ('{"ca": "missing.pem"}', "ca:"),
        ('{"ca": 5}', "ca: expected a text"),
    ],
)
def test_a_settings_file_that_is_wrong_is_told_by_name(shell, content, said):
    (shell.home / "settings.json").write_text(content)
    told = shell("labels", code=2).stderr
    assert said in told
    assert len(told.splitlines()) == 1


def test_a_settings_file_that_is_missing_is_told(shell):
    assert "cannot be read" in shell("--settings", str(shell.home / "none.json"), "labels", code=2).stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), 2),
        (errors.LoginRequired("x"), 3),
        (errors.AccessDenied("x"), 3),
        (errors.TokenEndpointError("x"), 4),
        (errors.ConnectFailed("x"), 4),
        (errors.ProtocolError("x"), 4),
        (errors.MailboxNotFound("x", status="NO"), 5),
        (errors.OutcomeUnknown("x", stage="DATA"), 6),
        (errors.StateError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_one_line(shell, monkeypatch, error, code):
    async def fail(desk, **_):
        raise error

    monkeypatch.setattr("aiogmail.cli.reading.list_labels", fail)
    result = shell("labels", code=code)
    assert exit_code(error) == code
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("aiogmail: ")


def test_advice_names_the_account_and_comes_only_where_there_is_one(shell, monkeypatch):
    async def fail(desk, **_):
        raise errors.LoginRequired("dead")

    monkeypatch.setattr("aiogmail.cli.reading.list_labels", fail)
    assert shell("labels", code=3).stderr == f"aiogmail: dead; run: aiogmail login {ADDRESS}\n"
    shell("accounts", "--forget", ADDRESS)
    assert shell("labels", code=3).stderr == "aiogmail: dead\n"


def test_the_exit_codes_are_in_the_help(shell):
    text = " ".join(shell("--help").stdout.split())
    assert all(str(code) in text for _, code, _ in desk_module.EXIT_CODES)


def test_verbose_shows_the_protocol_and_no_secret(shell):
    done = subprocess.run(
        [sys.executable, "-m", "aiogmail.cli", "--verbose", "labels"],
        env={**os.environ, **shell.env},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert " LIST " in done.stderr
    assert "AUTHENTICATE XOAUTH2" in done.stderr
    assert "ya29." not in done.stderr + done.stdout


def test_verbose_shows_every_protocol_and_no_secret(shell):
    """Sending, and what the doctor asks of POP3."""
    shell.account.deliver(letter("one"))
    sent = as_a_program(shell, "--verbose send --to bob@example.com -t 'a private word'").stderr.decode()
    asked = as_a_program(shell, "--verbose doctor").stderr.decode()
    for line in ("C: MAIL FROM:<me@gmail.com>", "C: RCPT TO:<bob@example.com>", "C: the message", "S: 250 2.0.0 OK"):
        assert line in sent
    for line in ("C: STAT", "S: +OK 1 "):
        assert line in asked
    for told in (sent, asked):
        assert "C: AUTH '…'\n" in told
        assert "ya29." not in told
        for coded in re.findall(r"[A-Za-z0-9+/=]{40,}", told):
            assert b"ya29." not in base64.b64decode(coded + "=" * (-len(coded) % 4))
    assert "a private word" not in sent


def test_a_reader_that_has_had_enough_is_no_error(shell):
    for number in range(200):
        shell.account.deliver(letter(f"many {number} {'x' * 400}"))
    done = subprocess.run(
        f'"{sys.executable}" -m aiogmail.cli search --limit 0 --json | head -1',
        shell=True,
        env={**os.environ, **shell.env},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize(("words", "code"), [("doctor", 0), ("demo --messages 10", 0)])
def test_nor_is_one_that_leaves_a_program_for_people(shell, words, code):
    done = as_a_program(shell, f"{words} | head -1; exit ${{PIPESTATUS[0]}}", shell="/bin/bash")
    assert (done.returncode, done.stderr) == (code, b"")
    assert len(done.stdout.splitlines()) == 1


def test_doctor_finds_a_healthy_account_healthy(shell):
    found = shell.json("doctor")
    assert [one["step"] for one in found] == ["consent", "token", "IMAP", "labels", "SMTP", "POP3"]
    assert {one["state"] for one in found} == {"good"}
    assert "ok  IMAP" in shell("doctor").stdout


def test_doctor_says_what_is_off_and_what_to_do(shell):
    shell.server.configure(pop_enabled=False)
    found = {one["step"]: one for one in shell.json("doctor")}
    assert found["POP3"]["state"] == "warning"
    shell.server.configure(imap_enabled=False)
    result = CliRunner().invoke(app, ["doctor", "--json"], env=shell.env)
    assert result.exit_code == 1
    found = {one["step"]: one for one in map(json.loads, result.stdout.splitlines())}
    assert found["IMAP"]["state"] == "bad"
    assert "switch IMAP on" in found["IMAP"]["text"]
