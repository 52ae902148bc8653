import asyncio
import errno
import json
import logging
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from aiogmail.errors import ConfigurationError
from aiogmail.oauth import FileTokenStore, StoreUnavailable
from aiogmail.oauth.stores import file as module
from aiogmail.secret import Secret
from tests.oauth.harness import real

from .contract import CLAIMS, KEY, RECORD


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens" / "tokens.json"


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_file_store(claim, path, sealed):
    real(lambda: claim(FileTokenStore(path, cipher=Fernet(Fernet.generate_key()) if sealed else None)))


def saved(path, record=RECORD, replaces=0, **options):
    async def main():
        assert await FileTokenStore(path, **options).save(KEY, record, replaces=replaces)

    real(main)


def loaded(path, key=KEY, **options):
    found = []

    async def main():
        found.append(await FileTokenStore(path, **options).load(key))

    real(main)
    return found[0]


def test_the_file_is_0600_in_a_folder_of_0700_whatever_the_umask(path):
    before = os.umask(0)
    try:
        saved(path)
    finally:
        os.umask(before)
    for entry in path.parent.iterdir():
        assert stat.S_IMODE(entry.stat().st_mode) == 0o600, entry
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text())["version"] == 1
    assert not (path.parent / "tokens.json.tmp").exists()


def test_a_cipher_leaves_nothing_readable(path):
    cipher = Fernet(Fernet.generate_key())
    saved(path, cipher=cipher)
    assert b"ya29" not in path.read_bytes()
    assert b"gmail" not in path.read_bytes()
    for wrong in (Fernet(Fernet.generate_key()),):
        with pytest.raises(ConfigurationError, match="cipher: cannot decrypt"):
            loaded(path, cipher=wrong)
        with pytest.raises(ConfigurationError, match="cipher: cannot decrypt"):
            saved(path, cipher=wrong)
    assert loaded(path, cipher=cipher) == RECORD


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_file_that_others_may_use_is_refused_with_the_command_that_mends_it(path, mode):
    saved(path)
    path.chmod(mode)
    for use in (loaded, lambda path: saved(path, replaces=1)):
        with pytest.raises(ConfigurationError, match=r"others may use the file .*tokens.json.*chmod 600"):
            use(path)
    path.chmod(0o600)
    assert loaded(path) == RECORD


@pytest.mark.parametrize("mode", [0o755, 0o711, 0o770, 0o1777])
def test_a_folder_that_others_may_use_is_refused(path, mode):
    path.parent.mkdir()
    path.parent.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"others may use the folder .*tokens.*chmod 700"):
        saved(path)
    assert list(path.parent.iterdir()) == []


def test_a_file_or_folder_of_another_user_is_refused(path, monkeypatch):
    saved(path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigurationError, match=r"the folder .* belongs to another user \(uid \d+\)"):
        loaded(path)
    monkeypatch.setattr(FileTokenStore, "_check_folder", lambda self: None)
    with pytest.raises(ConfigurationError, match="the file .* belongs to another user"):
        loaded(path)


def test_a_link_in_the_files_place_is_refused(path, tmp_path):
    saved(path)
    target = tmp_path / "elsewhere.json"
    path.rename(target)
    path.symlink_to(target)
    with pytest.raises(ConfigurationError, match="is a symbolic link"):
        loaded(path)
    before = target.read_bytes()
    with pytest.raises(ConfigurationError, match="is a symbolic link"):
        saved(path, replaces=1)
    assert target.read_bytes() == before


def test_links_in_the_places_of_its_helpers_are_not_followed(path, tmp_path):
    path.parent.mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    (path.parent / "tokens.json.tmp").symlink_to(victim)
    saved(path)
    assert victim.read_text() == "keep me"
    path.with_name("tokens.json.lock").unlink()
    path.with_name("tokens.json.lock").symlink_to(victim)
    with pytest.raises(OSError):
        saved(path, replaces=1)
    assert victim.read_text() == "keep me"


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(path):
    path.parent.mkdir(mode=0o700)
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigurationError, match="no regular file"):
        loaded(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"garbage", b"[]", b'{"version": 1}', b'{"version": 1, "tokens": []}', b'{"tokens": {}}', b"\xff" * 100]
)
def test_a_damaged_file_counts_as_empty_and_is_set_aside_by_the_next_write(path, content, caplog):
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    with caplog.at_level(logging.ERROR):
        assert loaded(path) is None
    assert "damaged" in caplog.text
    assert path.read_bytes() == content
    saved(path)
    assert loaded(path) == RECORD
    (aside,) = path.parent.glob("tokens.json.damaged-*")
    assert aside.read_bytes() == content
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_a_damaged_record_leaves_the_others_alone_and_is_kept_aside(path):
    saved(path)
    data = json.loads(path.read_text())
    data["tokens"]["other"] = data["tokens"][KEY]
    data["tokens"][KEY] = {"refresh_token": "1//precious", "version": "?"}
    path.write_text(json.dumps(data))
    assert loaded(path) is None
    saved(path)
    assert loaded(path) == loaded(path, "other") == RECORD
    (aside,) = path.parent.glob("tokens.json.damaged-*")
    assert b"1//precious" in aside.read_bytes()


def test_a_file_of_a_newer_version_is_not_touched(path):
    saved(path)
    path.write_text('{"version": 2, "records": "1//precious"}')
    for use in (loaded, saved):
        with pytest.raises(ConfigurationError, match=r"written by a newer aiogmail \(format 2\)"):
            use(path)
    assert "1//precious" in path.read_text()


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(path, monkeypatch, where):
    saved(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "replace":
        monkeypatch.setattr(Path, "replace", full)
    elif where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        real_open = os.open
        monkeypatch.setattr(os, "open", lambda name, flags, *mode: full() if flags & os.O_EXCL else real_open(name, flags, *mode))
    with pytest.raises(OSError, match="No space left"):
        saved(path, replace(RECORD, version=2), replaces=1)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert not path.with_name("tokens.json.tmp").exists()
    saved(path, replace(RECORD, version=2), replaces=1)


def test_what_the_system_does_not_let_us_open_is_its_own_error(path, monkeypatch):
    saved(path)

    def denied(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(OSError, match="Input/output error"):
        loaded(path)
    with pytest.raises(OSError, match="Input/output error"):
        real(lambda: FileTokenStore(path).acquire(KEY, 1.0))


def test_a_write_lock_that_is_held_for_long_counts_as_out_of_order(path, monkeypatch):
    monkeypatch.setattr(module, "_LOCK_WAIT", 0.05)
    path.parent.mkdir(mode=0o700)
    lock = module._Lock(path.with_name("tokens.json.lock"))
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        saved(path)
    lock.close()
    saved(path)


def test_an_acquire_that_is_cancelled_while_its_thread_takes_the_lock_holds_nothing(path, monkeypatch):
    async def main():
        import threading

        store = FileTokenStore(path)
        begun, go_on = threading.Event(), threading.Event()
        take = store._try_lock

        def slowly(name):
            begun.set()
            go_on.wait(5)
            return take(name)

        monkeypatch.setattr(store, "_try_lock", slowly)
        task = asyncio.create_task(store.acquire(KEY, 30.0))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        lease = None
        for _ in range(200):
            lease = await store.acquire(KEY, 30.0)
            if lease is not None:
                break
            await asyncio.sleep(0.01)
        assert lease is not None
        await store.release(KEY, lease)
        await store.release(KEY, object())

    real(main)


@pytest.mark.parametrize("path", [None, 7, "a\0b"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ConfigurationError, match="path: expected a file name"):
        FileTokenStore(path)


def test_a_path_is_taken_from_where_the_program_was_when_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = FileTokenStore("tokens.json")
    assert repr(store) == f"FileTokenStore('{tmp_path}/tokens.json')"
    assert FileTokenStore("~/x/tokens.json")._path == Path.home() / "x" / "tokens.json"


WRITER = """
import asyncio, sys
from dataclasses import replace
from tests.oauth.stores.contract import KEY, RECORD
from aiogmail.oauth import FileTokenStore
from aiogmail.secret import Secret

async def main():
    store = FileTokenStore(sys.argv[1])
    print("ready", flush=True)
    version = (await store.load(KEY)).version
    while True:
        version += 1
        assert await store.save(KEY, replace(RECORD, version=version, refresh_token=Secret("1//" + "r" * 2000)), replaces=version - 1)

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_file_and_no_lock(path):
    saved(path)
    version = 1
    for round_ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
        assert writer.stdout.readline() == b"ready\n"
        import time

        time.sleep(0.01 + 0.013 * round_)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        record = loaded(path)
        assert record is not None
        assert record.version >= version
        version = record.version
        saved(path, replace(RECORD, version=version + 1), replaces=version)
        version += 1
    assert list(path.parent.glob("*damaged*")) == []


def test_every_prefix_of_a_new_file_beside_the_old_one_is_harmless(path):
    """What a kill leaves: the old file whole, and any part of the new one under its working name."""
    saved(path)
    whole = path.read_bytes()
    new = path.with_name("tokens.json.tmp")
    for end in range(0, len(whole), 7):
        new.write_bytes(whole[:end])
        assert FileTokenStore(path)._load(KEY) == RECORD
    saved(path, replace(RECORD, version=2, refresh_token=Secret("1//next")), replaces=1)
    assert loaded(path).refresh_token.reveal() == "1//next"
    assert not new.exists()


def test_a_lease_ends_with_the_death_of_its_process(path):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import asyncio, sys, time\nfrom aiogmail.oauth import FileTokenStore\n"
                "lease = asyncio.run(FileTokenStore(sys.argv[1]).acquire('k', 30))\nprint(lease is not None, flush=True)\ntime.sleep(60)"
            ),
            str(path),
        ],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert holder.stdout.readline() == b"True\n"

    async def main():
        store = FileTokenStore(path)
        assert await store.acquire("k", 30) is None
        holder.kill()
        holder.wait()
        lease = await store.acquire("k", 30)
        assert lease is not None
        await store.release("k", lease)

    real(main)
    holder.stdout.close()
