"""A Gmail account on the emulator in virtual time, its mailbox open, and its ledger to ask what happened."""

from __future__ import annotations

import asyncio

import pytest

from aiogmail import Gmail
from aiogmail.testing import Behaviour, GmailEmulator, run_virtual

ADDRESS = "me@gmail.com"


def letter(number, body="body\r\n", message_id=True):
    head = f"Subject: letter {number}\r\nFrom: ann@example.com\r\nDate: Mon, 05 Jan 2026 08:00:00 +0000\r\n"
    return (head + (f"Message-ID: <{number}@x.example>\r\n" if message_id else "") + "\r\n" + body).encode()


def in_world(test, *, count=5, seed=0, mailbox="INBOX", readonly=False, settings=None, labels=("\\Inbox",), **behaviour):
    """Run ``await test(server, account, box)``, or with ``gmail`` as a fourth, in virtual time; what is left behind fails it."""

    async def main():
        async with GmailEmulator(behaviour=Behaviour(**behaviour), seed=seed) as server:
            account = server.add_account(ADDRESS)
            for number in range(1, count + 1):
                account.deliver(letter(number), labels)
            if mailbox not in account.mailboxes:
                account.labels.create(mailbox, account.behaviour)
            chosen = settings(server.settings) if settings else server.settings
            async with Gmail(ADDRESS, account.credentials(), settings=chosen) as gmail, gmail.mailbox(mailbox, readonly) as box:
                arguments = (server, account, box, gmail)
                result = await test(*arguments[: test.__code__.co_argcount])
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    return run_virtual(main(), seed=seed)


def verbs(server, verb):
    """The lines of the commands of this verb that the server has read."""
    return [command.line for command in server.ledger.commands if command.verb == verb]


def graded(values, quick, names=None):
    """Values to parametrise with: those at these places for every Python, the others for one."""
    names = names or [None] * len(values)
    return [
        pytest.param(value, id=name, marks=() if place in quick else pytest.mark.slow)
        for place, (value, name) in enumerate(zip(values, names, strict=True))
    ]
