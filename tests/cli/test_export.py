"""An export: each message once, whatever cuts it short."""

import hashlib
import json
import mailbox
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from aiogmail.cli.names import safe_name
from tests.cli.conftest import ADDRESS
from tests.cli.test_commands import letter

pytestmark = pytest.mark.slow


def raws(folder, pattern="*"):
    return sorted(path.read_bytes() for path in folder.glob(pattern))


def change(shell, work):
    """Change the account in the emulator's own thread."""
    account = shell.server.call(lambda: shell.server.account(ADDRESS))
    shell.server.call(lambda: work(account, account.messages))


def test_a_maildir_holds_each_message_with_its_octets_and_flags(shell):
    stored = [shell.account.deliver(letter(f"Letter {number}")) for number in range(5)]
    target = shell.home / "maildir"
    assert "5 messages" in shell("export", "--to", str(target)).stderr
    assert raws(target / "cur") == sorted(one.raw for one in stored)
    assert len(list(mailbox.Maildir(target, create=False))) == 5
    assert not list((target / "tmp").iterdir())


def test_the_same_command_again_adds_what_is_new_and_repairs_what_is_gone(shell):
    stored = [shell.account.deliver(letter(f"Letter {number}")) for number in range(4)]
    target = shell.home / "maildir"
    shell("export", "--to", str(target))
    files = sorted((target / "cur").iterdir())
    files[0].unlink()
    files[1].write_bytes(b"cut")
    stored.append(shell.account.deliver(letter("new")))
    (target / "cur" / "1.other").write_bytes(b"of another program")
    assert "2 of 5 are there already" in shell("export", "--to", str(target)).stderr
    assert sorted(raws(target / "cur")) == sorted([*(one.raw for one in stored), b"of another program"])


def test_a_message_that_a_mail_reader_marked_is_not_exported_again(shell):
    shell.account.deliver(letter("one"))
    target = shell.home / "maildir"
    shell("export", "--to", str(target))
    [path] = (target / "cur").iterdir()
    path.rename(path.with_name(f"{path.name}S"))
    shell("export", "--to", str(target))
    assert [one.name for one in (target / "cur").iterdir()] == [f"{path.name}S"]


def test_a_file_that_was_altered_is_found_out(shell):
    shell.account.deliver(letter("one"))
    target = shell.home / "maildir"
    shell("export", "--to", str(target))
    [path] = (target / "cur").iterdir()
    path.write_bytes(path.read_bytes().replace(b"one", b"two"))
    assert f"{path.name} in {target} was altered" in shell("export", "--to", str(target), code=2).stderr


def test_an_mbox_is_verified_too(shell):
    shell.account.deliver(letter("one"))
    target = shell.home / "all.mbox"
    shell("export", "--to", str(target), "-f", "mbox")
    target.write_bytes(target.read_bytes().replace(b"Hello", b"Jello"))
    assert "was altered" in shell("export", "--to", str(target), "-f", "mbox", code=2).stderr


def test_what_another_program_wrote_into_an_mbox_is_not_cut_off(shell):
    shell.account.deliver(letter("one"))
    target = shell.home / "all.mbox"
    shell("export", "--to", str(target), "-f", "mbox")
    with target.open("ab") as file:
        file.write(b"From ann@example.com Mon Jan  5 08:00:00 2026\nSubject: mine\n\n")
    before = target.read_bytes()
    assert "changed by another program" in shell("export", "--to", str(target), "-f", "mbox", code=2).stderr
    assert target.read_bytes() == before


def test_an_archive_whose_index_is_lost_keeps_what_the_server_has_no_more(shell):
    for number in range(3):
        shell.account.deliver(letter(f"Letter {number}"))
    target = shell.home / "maildir"
    shell("export", "--to", str(target))
    before = raws(target / "cur")
    (target / "aiogmail-export.jsonl").unlink()
    change(shell, lambda account, stored: (account.remove(stored[0]), account.set_flags(stored[1], ["\\Seen"])))
    shell("export", "--to", str(target))
    assert raws(target / "cur") == before, "each once, under its new flags too"
    assert len([path for path in (target / "cur").iterdir() if path.name.endswith("S")]) == 1


def test_what_is_damaged_and_gone_from_the_server_is_told(shell):
    shell.account.deliver(letter("one"))
    target = shell.home / "maildir"
    shell("export", "subject:one", "--to", str(target))
    [path] = (target / "cur").iterdir()
    path.write_bytes(b"cut")
    change(shell, lambda account, stored: account.remove(stored[0]))
    told = shell("export", "subject:one", "--to", str(target)).stderr
    assert "1 exported earlier are damaged or gone" in told
    assert "0 messages" in told


def test_a_mistyped_label_leaves_nothing_in_the_way(shell):
    shell.account.deliver(letter("one"), labels=("Work",))
    target = shell.home / "maildir"
    assert "Wrok" in shell("export", "--label", "Wrok", "--to", str(target), code=5).stderr
    assert "1 messages" in shell("export", "--label", "Work", "--to", str(target)).stderr


@pytest.mark.parametrize("words", [("caf\udce9",), ("--label", "caf\udce9")])
def test_words_that_are_no_text_are_refused_in_one_line(shell, words):
    result = shell("export", *words, "--to", str(shell.home / "maildir"), code=2)
    assert "lone surrogates" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_two_exports_at_once_do_not_spoil_an_archive(shell):
    fcntl = pytest.importorskip("fcntl", reason="Windows has no lock that fits")
    shell.account.deliver(letter("one"))
    target = shell.home / "maildir"
    shell("export", "--to", str(target))
    with (target / "aiogmail-export.jsonl").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another export holds" in shell("export", "--to", str(target), code=2).stderr
    shell("export", "--to", str(target))


def test_an_mbox_needs_a_name(shell):
    assert "expected a file for an mbox" in shell("export", "--to", ".", "-f", "mbox", code=2).stderr


def test_eml_files_are_named_by_their_gmail_id(shell):
    stored = [shell.account.deliver(letter(f"Letter {number}")) for number in range(3)]
    target = shell.home / "eml"
    shell("export", "--to", str(target), "--format", "eml")
    assert raws(target, "*.eml") == sorted(one.raw for one in stored)
    names = {path.stem for path in target.glob("*.eml")}
    assert names == {one["id"] for one in shell.json("search")}


def test_an_mbox_is_read_back_by_the_standard_library_and_goes_on(shell):
    texts = ["plain\n", "From here on\n>From there\n\nFrom  nowhere\n"]
    for number, text in enumerate(texts):
        shell.account.deliver(letter(f"Letter {number}", text), labels=("\\Inbox", "Work"))
    target = shell.home / "all.mbox"
    shell("export", "--to", str(target), "-f", "mbox", "--label", "Work")
    shell.account.deliver(letter("Letter 2"), labels=("Work",))
    with target.open("ab") as file:
        file.write(b"From 1882655470269816860@xxx Mon Jan 05 08:00:00 2026\nX-GM-THRID: 18")  # as a program that was killed leaves it
    shell("export", "--to", str(target), "-f", "mbox", "--label", "Work")
    box = mailbox.mbox(target)
    try:
        found = list(box)
    finally:
        box.close()
    assert [one["Subject"] for one in found] == ["Letter 0", "Letter 1", "Letter 2"]
    assert "Inbox" in found[0]["X-Gmail-Labels"]
    assert b"\n>From here on\n>>From there\n" in target.read_bytes()


def test_what_is_in_the_way_is_not_touched(shell):
    shell.account.deliver(letter("one"))
    target = shell.home / "mine.mbox"
    target.write_text("From me\n\nmine\n")
    assert "exists" in shell("export", "--to", str(target), "-f", "mbox", code=2).stderr
    assert target.read_text() == "From me\n\nmine\n"
    folder = shell.home / "maildir"
    shell("export", "--to", str(folder))
    assert "belongs to another export" in shell("export", "subject:one", "--to", str(folder), code=2).stderr
    (folder / "aiogmail-export.jsonl").write_text("nonsense\n")
    assert "no index" in shell("export", "--to", str(folder), code=2).stderr
    (shell.home / "file").write_text("")
    assert "cannot be written" in shell("export", "--to", str(shell.home / "file" / "x"), code=2).stderr
    shell("export", "--to", str(shell.home / "two.mbox"), "-f", "mbox")
    (shell.home / "two.mbox").write_text("")
    assert "shorter than its index" in shell("export", "--to", str(shell.home / "two.mbox"), "-f", "mbox", code=2).stderr


def test_a_lost_server_is_no_matter_of_the_target(shell):
    settings = json.loads((shell.home / "settings.json").read_text())
    settings["imap"]["port"] = 1
    (shell.home / "settings.json").write_text(json.dumps(settings))
    told = shell("export", "--to", str(shell.home / "maildir"), code=4).stderr
    assert "cannot be written" not in told
    assert "doctor" in told


@pytest.mark.timeout(180)
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_many_messages_survive_three_kills(shell, count):
    """kill -9 at three moments, the same command each time: every message once, with its octets."""
    chance = random.Random(1)
    raw = [letter(f"Letter {number}", "x" * chance.randrange(2000)) for number in range(count)]
    shell.server.call(lambda: [shell.server.account("me@gmail.com").deliver(one, labels=("Archive",)) for one in raw])
    target = shell.home / "maildir"
    command = [sys.executable, "-m", "aiogmail.cli", "export", "--label", "Archive", "--to", str(target)]
    environment = {**os.environ, **shell.env}
    for done in (count // 7, count * 2 // 5, count * 7 // 10):
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while not (target / "cur").exists() or len(os.listdir(target / "cur")) < done:
                assert process.poll() is None, "it ended before it was killed"
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert f"{count} messages" in ended.stderr
    digests = [hashlib.sha256(one).digest() for one in raws(target / "cur")]
    stored = shell.server.call(lambda: [one.raw for one in shell.server.account("me@gmail.com").messages])
    assert sorted(digests) == sorted(hashlib.sha256(one).digest() for one in stored)
    lines = (target / "aiogmail-export.jsonl").read_text().splitlines()[1:]
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == count


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a:b|c?.txt", "a_b_c_.txt"),
        ("CON", "CON_"),
        (".hidden", "hidden"),
        ("", "_"),
        ("..", "_"),
        ("\u202egpj.exe", "gpj.exe"),
        ("a\x00\nb", "ab"),
        ("plain", "plain"),
    ],
)
def test_a_strangers_file_name_is_made_safe(name, safe):
    assert safe_name(name) == safe


def test_a_long_name_is_cut_and_keeps_its_suffix():
    assert safe_name("ä" * 300 + ".pdf").endswith("ä.pdf")
    assert len(safe_name("ä" * 300 + ".pdf").encode()) <= 200
    assert len(safe_name("a." + "b" * 300).encode()) == 200
