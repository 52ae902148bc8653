"""The same messages through servers: what ENVELOPE and BODYSTRUCTURE tell and the single parts hold is what the octets say."""

import pytest

from aiogmail import Gmail
from aiogmail.testing import GmailEmulator
from tests.imap.corpus import MALFORMED, WELL_FORMED
from tests.imap.test_corpus import of_raw, ours, reference, same
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint

NAMES = [*sorted(WELL_FORMED), *sorted(MALFORMED)]
OCTETS = {**WELL_FORMED, **MALFORMED}


class Seen:
    """A message in the shape that :func:`ours` looks at, its attachments fetched one by one."""

    def __init__(self, message, contents):
        self._message = message
        self.content = lambda part: contents[part.number]

    def __getattr__(self, name):
        return getattr(self._message, name)


async def read_all(inbox, names):
    """``(name, message)`` of the whole corpus, by envelope, structure, texts and parts: never the raw message."""
    messages = [message async for message in inbox.fetch("1:*", "envelope", "structure", "text", "html", "header:subject")]
    assert [message.uid for message in messages] == list(range(1, len(names) + 1))
    found = {}
    for message, name in zip(messages, names, strict=True):
        contents = {}
        parts = [part for part in message.attachments if part.number][:20]
        if parts:
            [one] = [one async for one in inbox.fetch(message.uid, *(f"part:{part.number}" for part in parts))]
            contents = {part.number: one.content(part) for part in parts}
        found[name] = Seen(message, contents)
    return found


def check(found):
    wrong = {}
    for name, raw in WELL_FORMED.items():
        seen, expected = ours(found[name]), reference(raw)
        seen["subject"], expected["subject"] = (" ".join(one["subject"].split()) for one in (seen, expected))  # Dovecot writes no tabs
        if not same(seen, expected):
            wrong[name] = {key: (seen[key], expected[key]) for key in seen if seen[key] != expected[key]}
        numbers = [(part.number, part.content_type, part.size) for part in found[name].parts]
        own = [(part.number, part.content_type, part.size) for part in of_raw(raw).parts]
        if numbers != own:
            wrong[f"{name}: parts"] = numbers, own
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())
    for name in found.keys() - WELL_FORMED.keys():
        found[name].parts, found[name].defects, found[name].text, found[name].html, found[name].attachments, dict(found[name].headers)


@pytest.mark.unmeasured
def test_through_the_emulator():
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account("me@gmail.com")
            for name in NAMES:
                account.deliver(OCTETS[name])
            async with Gmail("me@gmail.com", account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
                check(await read_all(inbox, NAMES))

    run(main())


@pytest.mark.unmeasured
@pytest.mark.real
def test_through_dovecot(dovecot, address):
    names = [name for name in NAMES if OCTETS[name].count(b"\r\n") == OCTETS[name].count(b"\n") == OCTETS[name].count(b"\r")]

    async def main():
        dovecot.deliver_many(address, [OCTETS[name] for name in names])
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            credentials, settings = endpoint.credentials(address), dovecot.settings
            async with Gmail(address, credentials, settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
                check(await read_all(inbox, names))

    run(main())
