"""A message object's octets: those that the email package writes, a block at a time."""

import copy
import random
from email import message_from_bytes, policy
from email.generator import BytesGenerator
from email.message import EmailMessage
from io import BytesIO

import pytest

from aiogmail.smtp import flatten as module
from aiogmail.smtp.flatten import flatten

PIECES = [b"\r", b"\n", b"\r\n", b"a", b"\xc3\xa9", b"\xe9", b".", b"From ", b"--x"]


def written_by_the_library(message):
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=module._policy(message)).flatten(copy.deepcopy(message))
    return out.getvalue()


@pytest.mark.unmeasured
@pytest.mark.parametrize("rules", [policy.compat32, policy.default, policy.SMTP], ids=["compat32", "default", "SMTP"])
@pytest.mark.parametrize("block", [1, 2, 7, 64])
def test_it_is_what_the_email_package_writes_wherever_a_block_ends(monkeypatch, rules, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    rng = random.Random(block)
    for _ in range(60):
        body = b"".join(rng.choices(PIECES, k=rng.randrange(30)))
        for head in (
            b"Content-Type: text/plain; charset=utf-8\n\n%b",
            b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%b",
            b"Content-Type: multipart/mixed; boundary=x\n\npre\n--x\n\n%b\n--x\nContent-Type: text/html\n\nb\r\n--x--\nepilogue",
        ):
            message = message_from_bytes(b"To: a@x.org\n" + head % body, policy=rules)
            assert flatten(message) == written_by_the_library(message)


def test_a_large_body_is_never_gone_through_in_one_call(monkeypatch):
    """That would hold Python's lock, and the loop, for as long."""
    sizes = []
    write = module._Generator.write

    def seen(self, text):
        sizes.append(len(text))
        write(self, text)

    monkeypatch.setattr(module._Generator, "write", seen)
    message = EmailMessage()
    message["To"] = "a@x.org"
    message.set_content("x")
    message.add_attachment(bytes(2_000_000), maintype="application", subtype="octet-stream")
    assert len(flatten(message)) > 2_600_000
    assert max(sizes) <= 2 * module._BLOCK
    assert sum(sizes) > 2_600_000


def test_a_boundary_that_is_missing_is_made_in_the_copy_alone():
    message = EmailMessage()
    message["To"] = "a@x.org"
    message.set_content("x")
    message.add_attachment(b"y", maintype="application", subtype="octet-stream")
    raw = flatten(message)
    made = message_from_bytes(raw).get_boundary()
    assert made
    assert raw.count(made.encode()) == 4
    assert message.get_boundary() is None
