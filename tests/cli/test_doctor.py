"""What the doctor says of an account that is not well, and its report."""

import json

import pytest

from aiogmail.cli import doctor
from aiogmail.cli.desk import Desk
from aiogmail.cli.questions import Answer

from .conftest import ADDRESS

pytestmark = pytest.mark.slow


def test_a_consent_for_something_else_is_told(shell):
    path = shell.home / "config" / "credentials" / f"{ADDRESS}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scopes": ["https://www.googleapis.com/auth/gmail.send"]}))
    result = shell("doctor", code=1)
    assert "no  consent" in result.stdout
    assert f"run: aiogmail login {ADDRESS}" in result.stdout
    assert len(result.stdout.splitlines()) == 1, "what depends on it is not tried"


def test_labels_that_are_hidden_are_a_warning_with_the_way_to_show_them(shell):
    shell.server.configure(hidden=frozenset({"[Gmail]/All Mail"}))
    [found] = [one for one in shell.json("doctor") if one["step"] == "labels"]
    assert found["state"] == "warning"
    assert "All Mail" in found["text"]
    assert "Show in IMAP" in found["text"]


def test_a_server_that_lacks_something_is_a_warning(shell, monkeypatch):
    monkeypatch.setattr(doctor, "_NEEDED", ("IDLE", "X-NEVER-HEARD-OF"))
    [found] = [one for one in shell.json("doctor") if one["step"] == "IMAP"]
    assert (found["state"], "lacks X-NEVER-HEARD-OF" in found["text"]) == ("warning", True)


def test_the_report_asks_a_live_account_and_tells_the_evidence(shell, monkeypatch):
    async def ask(gmail, imap, token):
        assert (await token()).reveal().startswith("ya29.")
        async with imap() as client:
            reply = await client.aioimaplib.noop()
        yield Answer("Does it answer?", reply.result, f"{len(await gmail.mailboxes())} labels")

    monkeypatch.setattr(doctor, "ask_all", ask)
    result = shell("doctor", "--report")
    assert "Does it answer?\n    OK  (" in result.stdout
    assert "sends one message to yourself" in result.stderr
    assert shell.json("doctor", "--report")[-1]["question"] == "Does it answer?"


def left(shell):
    """What a report has left behind."""
    account = shell.server.call(lambda: shell.server.account(ADDRESS))
    return shell.server.call(
        lambda: ([name for name in account.mailboxes if name.startswith("aiogmail")], list(account.mailbox("[Gmail]/All Mail").messages))
    )


def test_a_reader_who_has_had_enough_of_the_report_leaves_nothing_behind(shell, monkeypatch):
    def write(self, line):
        raise BrokenPipeError

    monkeypatch.setattr(Desk, "write", write)
    shell("doctor", "--report")
    assert left(shell) == ([], [])


@pytest.mark.parametrize("hidden", ["[Gmail]/All Mail", "[Gmail]/Trash"])
def test_what_could_not_be_removed_is_not_made(shell, hidden):
    shell.server.configure(hidden=frozenset({hidden}))
    result = shell("doctor", "--report", code=5)
    assert "Show in IMAP" in result.stderr
    assert left(shell) == ([], [])


def test_no_report_is_made_of_an_account_that_is_not_fit(shell, monkeypatch):
    shell.server.configure(imap_enabled=False)
    monkeypatch.setattr(doctor, "ask_all", None)
    assert "asking" not in shell("doctor", "--report", code=1).stderr
