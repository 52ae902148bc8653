"""Replies: read the same however they are cut, and nothing after what cannot be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.errors import ConfigurationError, LimitExceeded, ProtocolError
from aiogmail.smtp.wire import Reply, ReplyReader, command, parse_extensions

GMAIL = (
    b"220 smtp.gmail.com ESMTP a1-2 - gsmtp\r\n"
    b"250-smtp.gmail.com at your service, [1.2.3.4]\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
    b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
    b"535 5.7.8  https://support.google.com/mail/?p=BadCredentials a1 - gsmtp\r\n"
    b"354  Go ahead a1 - gsmtp\r\n250 2.0.0 OK  1700000000 a1 - gsmtp\r\n250\r\n250 \xc3\xa4\xff \x85\r\n"
)
READ = [
    Reply(220, ("smtp.gmail.com ESMTP a1-2 - gsmtp",)),
    Reply(250, ("smtp.gmail.com at your service, [1.2.3.4]", "SIZE 35882577", "8BITMIME", "SMTPUTF8")),
    Reply(
        535,
        ("Username and Password not accepted. For more information, go to", "https://support.google.com/mail/?p=BadCredentials a1 - gsmtp"),
        "5.7.8",
    ),
    Reply(354, (" Go ahead a1 - gsmtp",)),
    Reply(250, ("OK  1700000000 a1 - gsmtp",), "2.0.0"),
    Reply(250, ("",)),
    Reply(250, ("ä� �",)),
]


def feed(*pieces):
    reader = ReplyReader()
    found = [reply for piece in pieces for reply in reader.feed(piece)]
    assert not reader.mid_reply
    return found


def test_gmails_replies_whole_and_byte_by_byte():
    assert feed(GMAIL) == READ
    assert feed(*(GMAIL[at : at + 1] for at in range(len(GMAIL)))) == READ


@given(st.lists(st.integers(0, len(GMAIL)), max_size=8))
def test_any_cut_gives_the_same_replies(cuts):
    edges = [0, *sorted(cuts), len(GMAIL)]
    assert feed(*(GMAIL[a:b] for a, b in zip(edges, edges[1:], strict=False))) == READ


BAD = [
    b"<html>\r\n",
    b"25\r\n",
    b"2_5 x\r\n",
    b"-50 x\r\n",
    b"150 x\r\n",
    b"600 x\r\n",
    b"250_x\r\n",
    b"\r\n",
    b"250 ok\n",
    b"250 o\rk\r\n",
    b"250 \x00\r\n",
    b"250 \x1b[2J\r\n",
    b"250-a\r\n550 b\r\n",
    "٢٥٠ x\r\n".encode(),
]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_what_is_no_reply_ends_it_and_nothing_behind_it_is_read(bad):
    reader = ReplyReader()
    with pytest.raises(ProtocolError):
        reader.feed(b"250 ok\r\n" + bad + b"250 ok\r\n")
    assert reader.error is not None
    assert not reader.mid_reply
    with pytest.raises(ProtocolError):
        reader.feed(b"250 ok\r\n")


@pytest.mark.parametrize(
    "stream",
    [b"250-" + b"x" * 5000, b"250 " + b"x" * 5000 + b"\r\n", b"250-x\r\n" * 12_000],
    ids=["endless line", "long line", "endless reply"],
)
def test_a_limit_is_not_waited_beyond(stream):
    reader = ReplyReader()
    with pytest.raises(LimitExceeded):
        reader.feed(stream)


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_else(data):
    reader = ReplyReader()
    try:
        replies = reader.feed(data)
    except ProtocolError:
        return
    assert all(200 <= reply.code < 600 for reply in replies)


def test_a_reply_says_what_it_is():
    reply = Reply(550, ("no such", " user "), "5.1.1")
    assert str(reply) == "550 5.1.1 no such user"
    assert not reply.is_positive
    assert Reply(354).is_positive
    assert str(Reply(250)) == "250"


def test_an_enhanced_code_of_another_class_is_text():
    assert feed(b"250 5.1.1 odd\r\n") == [Reply(250, ("5.1.1 odd",))]
    assert feed(b"550-5.1.1 a\r\n550 5.1.2 b\r\n") == [Reply(550, ("a", "5.1.2 b"), "5.1.1")]
    assert feed(b"250 2.0.0\r\n") == [Reply(250, ("",), "2.0.0")]


def test_a_command_is_one_line():
    assert command("MAIL", "FROM:<me@x>", "SIZE=3") == b"MAIL FROM:<me@x> SIZE=3\r\n"
    assert command("RCPT", "TO:<jörg@x>") == "RCPT TO:<jörg@x>\r\n".encode()
    for word in ("a\r\nb", "a\nb", "\x00", "\x7f", "\u2028", "\ud800"):
        with pytest.raises(ConfigurationError, match="RCPT"):
            command("RCPT", word)


def test_extensions_by_keyword():
    lines = ("x at your service", "SIZE 1000", "auth=LOGIN", "AUTH PLAIN XOAUTH2 ", "", "pipelining", "X-Y")
    found = parse_extensions(lines)
    assert found == {"SIZE": "1000", "AUTH": "PLAIN XOAUTH2", "PIPELINING": "", "X-Y": ""}
    assert parse_extensions(("only a name",)) == {}
    assert parse_extensions(("x", "AUTH=PLAIN XOAUTH2")) == {"AUTH": "PLAIN XOAUTH2"}
