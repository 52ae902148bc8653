import asyncio
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

from aiogmail.oauth import TokenCache, UserCredentials
from aiogmail.testing.serve import main, serve


def test_it_says_how_to_connect_and_writes_ca_and_token(tmp_path):
    async def run():
        lines, stop = [], asyncio.Event()
        task = asyncio.create_task(serve("dev@gmail.com", folder=tmp_path / "new", announce=lines.append, stop=stop))
        while len(lines) < 10:
            await asyncio.sleep(0.01)
        text = "\n".join(lines)
        assert "dev@gmail.com, 12 messages" in text
        assert "IMAP   127.0.0.1:" in text
        token = tmp_path / "new" / "token.json"
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert json.loads(token.read_text())["type"] == "authorized_user"
        async with TokenCache() as tokens:
            assert await tokens.get("dev@gmail.com", UserCredentials.from_authorized_user_file(token))
        stop.set()
        await task

    asyncio.run(run())


def test_what_it_says_to_run_can_be_run_from_a_folder_with_a_space(tmp_path):
    async def run():
        lines, stop = [], asyncio.Event()
        stop.set()
        await serve(folder=tmp_path / "my mail", announce=lines.append, stop=stop)
        [line] = [line for line in lines if "--settings" in line]
        assert shlex.split(line)[2] == str(tmp_path / "my mail" / "settings.json")
        assert str(tmp_path / "my mail" / "ca.pem") in shlex.split(lines[-1])

    asyncio.run(run())


@pytest.mark.parametrize(
    "words", [("--copies", "-1"), ("--copies", "x"), ("--token-lifetime", "0"), ("--token-lifetime", "nan"), ("--token-lifetime", "x")]
)
def test_a_number_that_makes_no_sense_is_refused(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert f"argument {words[0]}: expected " in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_runs_until_it_is_told_to_end():
    with subprocess.Popen(
        [sys.executable, "-m", "aiogmail.testing", "--copies", "2", "--token-lifetime", "60"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert "me@gmail.com, 24 messages" in process.stdout.readline()
        while "curl" not in process.stdout.readline():
            pass
        process.terminate()
        assert process.wait(10) == 0


def test_main_ends_on_an_interrupt(capsys):
    # A shell gives what it starts in the background an interrupt that is ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        assert main(["--imap-port", "0"]) == 0
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert "A Gmail for development" in capsys.readouterr().out


def test_what_stands_in_the_way_is_said_in_one_line(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        for wrong in (
            ["--https-port", str(other.getsockname()[1])],
            ["--imap-port", "70000"],
            ["--folder", str(tmp_path / "file")],
            ["--address", "nobody"],
        ):
            assert main(wrong) == 1
            assert len(capsys.readouterr().err.splitlines()) == 1
