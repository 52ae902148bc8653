"""A large mailbox read with other work in the loop: everything comes, nothing waits for ever, and memory stays within the budget."""

import base64
import tracemalloc
from dataclasses import replace

import pytest

from aiogmail import Gmail, Limits
from aiogmail.testing import GmailEmulator
from tests.support.aio import run

from .test_download_parts import octets
from .test_fetch import ADDRESS

MIB = 1024 * 1024


def letters(count):
    """Every hundredth has an attachment of 60 kB."""
    for number in range(1, count + 1):
        head = b"Subject: letter %d\r\nMessage-ID: <%d@x.example>\r\n" % (number, number)
        body = b"x" * 70 + b"\r\n"
        if number % 100:
            yield head + b"\r\n" + body * (number % 60)
            continue
        content = base64.encodebytes(octets(60_000, number)).replace(b"\n", b"\r\n")
        yield (
            head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + body + b"\r\n--b\r\n"
            b"Content-Type: application/x\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + content
            + b"--b--\r\n"
        )


async def work(count, budget, *, watch=lambda: None):
    """Read all, and every hundred rows download, store and move within the loop."""
    async with GmailEmulator() as server:
        account = server.add_account(ADDRESS)
        for letter in letters(count):
            account.deliver(letter)
        total = sum(len(message.raw) for message in account.messages)
        settings = replace(server.settings, limits=Limits(buffer=budget))
        seen, downloaded = [], 0
        async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail:
            await gmail.create_mailbox("Done")
            async with gmail.mailbox("INBOX") as inbox:
                watch()
                async for message in inbox.fetch("1:*", "raw", "structure", "flags"):
                    seen.append(message.uid)
                    assert f"Message-ID: <{message.uid}@x.example>".encode() in message.raw
                    match message.uid % 100:
                        case 0:
                            content = b"".join([chunk async for chunk in inbox.download(message.uid, message.attachments[0])])
                            assert content == octets(60_000, message.uid)
                            downloaded += 1
                        case 33:
                            await inbox.add_flags(message.uid, "\\Flagged")
                        case 66:
                            await inbox.move(message.uid, "Done")
                    if message.uid % 1000 == 0:
                        watch()
        assert seen == list(range(1, count + 1))
        assert downloaded == count // 100
        flagged = [number for number, one in enumerate(account.messages, 1) if "\\Flagged" in one.flags]
        assert flagged == list(range(33, count + 1, 100))
        moved = [number for number, one in enumerate(account.messages, 1) if "Done" in one.labels and "\\Inbox" not in one.labels]
        assert moved == list(range(66, count + 1, 100))
        return total


def test_other_work_in_the_loop_of_a_fetch_goes_on_whatever_is_held():
    """With a budget that is always used up: whatever waits for the socket must not be held back with the rows."""
    run(work(600, 20_000))


@pytest.mark.slow
def test_ten_thousand_rows_with_work_in_the_loop_stay_within_a_budget_of_1_mib():
    peaks = []
    ours = [tracemalloc.Filter(True, "*/aiogmail/imap/*")]

    def watch():
        if not tracemalloc.is_tracing():
            tracemalloc.start(1)
        snapshot = tracemalloc.take_snapshot().filter_traces(ours)
        peaks.append(sum(trace.size for trace in snapshot.traces))

    try:
        total = run(work(10_000, MIB, watch=watch), timeout=55)
    finally:
        tracemalloc.stop()
    assert total > 25 * MIB
    assert max(peaks) - peaks[0] <= 4 * MIB, "two windows on the way and what is held"
