"""A download into a file: whole, or not there."""

import asyncio
import os

import pytest

from aiogmail import errors
from aiogmail.imap import files
from aiogmail.imap.files import write_file
from aiogmail.testing import Fault
from tests.support.aio import run

from .test_download_parts import letter, octets, with_part


async def chunks(*parts, error=None):
    for part in parts:
        await asyncio.sleep(0)
        yield part
    if error is not None:
        raise error


def test_a_file_is_written_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "x.bin"
    path.write_text("before")
    assert run(write_file(path, chunks(b"one", b"", b"two"))) == 6
    assert path.read_bytes() == b"onetwo"
    assert run(write_file(str(path), chunks())) == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.bin"]
    assert path.read_bytes() == b""
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("name", ["x" * 255, "\N{GRINNING FACE}" * 63, "\u65e5" * 85, "." + "x" * 200])
def test_a_file_may_have_any_name_that_the_system_takes(tmp_path, name):
    assert run(write_file(tmp_path / name, chunks(b"one"))) == 3
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"one")]


def test_what_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "x.bin"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="half way"):
        run(write_file(path, chunks(b"one", error=RuntimeError("half way"))))
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("x.bin", "before")]
    with pytest.raises(FileNotFoundError):
        run(write_file(tmp_path / "none" / "x", chunks(b"one")))
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        run(write_file(tmp_path / "folder", chunks(b"one")))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "x.bin"]


@pytest.mark.parametrize("steps", range(40))
def test_cancelled_at_any_step_it_leaves_nothing_or_the_whole(tmp_path, steps):
    async def main():
        task = asyncio.ensure_future(write_file(tmp_path / "x", chunks(b"one", b"two")))
        for _ in range(steps):
            await asyncio.sleep(0.0003 if steps % 2 else 0)
        task.cancel()
        task.cancel()
        await asyncio.wait([task])

    run(main())
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] in ([], [("x", b"onetwo")])


def test_a_cancelled_write_waits_for_its_thread(tmp_path, monkeypatch):
    import threading

    entered, go = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(descriptor):
        entered.set()
        assert go.wait(10)
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", slow)

    async def main():
        task = asyncio.ensure_future(write_file(tmp_path / "x", chunks(b"one")))
        await asyncio.get_running_loop().run_in_executor(None, entered.wait)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        go.set()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())


def test_an_attachment_is_saved(tmp_path):
    content = octets(100_000)

    async def test(server, account, inbox):
        told = []
        assert await inbox.save(1, tmp_path / "a.bin", "2", progress=lambda *one: told.append(one)) == 100_000
        assert (tmp_path / "a.bin").read_bytes() == content
        assert told
        assert await inbox.save(1, tmp_path / "whole.eml") == len(account.messages[0].raw)
        assert (tmp_path / "whole.eml").read_bytes() == account.messages[0].raw
        assert await inbox.download(1, "1").to_file(tmp_path / "text") == len(b"see attachment\r\n")
        server.faults.add(Fault("answer", "UID FETCH", text="NO Some messages could not be FETCHed (Failure)", skip=1))
        with pytest.raises(errors.CommandError):
            await inbox.save(1, tmp_path / "a.bin", "2")
        assert (tmp_path / "a.bin").read_bytes() == content
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.bin", "text", "whole.eml"]

    run(with_part(test, letter(content)))
