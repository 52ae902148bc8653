import datetime as dt
import enum
import re
import traceback

import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.imap.uidset import UidSet, UidsFrom
from aiogmail.imap.wire import AsIs, Atom, Flag, Label, Literal, LiteralMode, Mailbox, Quoted, Raw, SearchDate, encode_command
from aiogmail.secret import Secret
from aiogmail.settings import Limits

SYNC, MINUS, PLUS = LiteralMode.SYNC, LiteralMode.MINUS, LiteralMode.PLUS


def line(*args, **keywords) -> bytes:
    """What is sent, with a bar where the server must be waited for."""
    segments = encode_command("A1", *args, **keywords).segments
    return b"|".join(b"".join(map(bytes, segment)) for segment in segments)


class Colour(enum.IntEnum):
    RED = 3


EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))
ODD = dt.timezone(dt.timedelta(seconds=-3601))


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (None, b"NIL"),
        (0, b"0"),
        (18446744073709551615, b"18446744073709551615"),
        (Colour.RED, b"3"),
        ("word", b"word"),
        ("a+b@c.d=e&f", b"a+b@c.d=e&f"),
        ("", b'""'),
        ("nil", b'"nil"'),
        ("NIL", b'"NIL"'),
        ("two words", b'"two words"'),
        ('say "hi" \\o/', b'"say \\"hi\\" \\\\o/"'),
        ("a(b", b'"a(b"'),
        ("{5}", b'"{5}"'),
        ("{5+}", b'"{5+}"'),
        ("*", b'"*"'),
        ("a]", b'"a]"'),
        ("[x", b'"[x"'),
        ("tab\t", b"{4}\r\n|tab\t"),
        ("\x7f", b"{1}\r\n|\x7f"),
        ("a\r\nb", b"{4}\r\n|a\r\nb"),
        ("é", b"{2}\r\n|\xc3\xa9"),
        (" " * 1024, b'"' + b" " * 1024 + b'"'),
        (" " * 1025, b"{1025}\r\n|" + b" " * 1025),
        (b"word", b"word"),
        (b"\xff", b"{1}\r\n|\xff"),
        (Atom("CHARSET"), b"CHARSET"),
        (Flag("\\Seen"), b"\\Seen"),
        (Quoted("word"), b'"word"'),
        (Quoted('a\\"\tb'), b'"a\\\\\\"\tb"'),
        (Mailbox("INBOX"), b"INBOX"),
        (Mailbox("[Gmail]/All Mail"), b'"[Gmail]/All Mail"'),
        (Mailbox("Entwürfe & mehr"), b'"Entw&APw-rfe &- mehr"'),
        (Mailbox(""), b'""'),
        (Mailbox("%"), b'"%"'),
        (Label("\\Inbox"), b'"\\\\Inbox"'),
        (Label("Work"), b"Work"),
        (Label('a [b] "c"'), b'"a [b] \\"c\\""'),
        (Raw("BODY.PEEK[]"), b"BODY.PEEK[]"),
        (AsIs("(a \\\\b"), b"(a \\\\b"),
        (UidSet("1:3,5"), b"1:3,5"),
        (UidsFrom(7), b"7:*"),
        (SearchDate(dt.date(2024, 2, 6)), b"6-Feb-2024"),
        (SearchDate(dt.date(999, 12, 31)), b"31-Dec-0999"),
        (dt.datetime(2024, 2, 6, 7, 8, 9, 123, tzinfo=dt.UTC), b'" 6-Feb-2024 07:08:09 +0000"'),
        (dt.datetime(2024, 12, 16, 7, 8, 9, tzinfo=EAST), b'"16-Dec-2024 07:08:09 +0530"'),
        (dt.datetime(2024, 12, 16, 7, 8, 9, tzinfo=dt.timezone(-dt.timedelta(hours=8))), b'"16-Dec-2024 07:08:09 -0800"'),
        (dt.datetime(2024, 12, 16, 7, 8, 9, tzinfo=ODD), b'"16-Dec-2024 08:08:10 +0000"'),
        ([], b"()"),
        ([Flag("\\Seen"), "a b", [1, (None,)]], b'(\\Seen "a b" (1 (NIL)))'),
        (Secret("base64=="), b"base64=="),
        (Secret("pass word"), b'"pass word"'),
        (Secret("pä"), b"{3}\r\n|p\xc3\xa4"),
        (Secret("A" * 3000), b"A" * 3000),  # an initial response is one word, however long
    ],
)
def test_each_value_is_written_in_its_form(value, octets):
    assert line("X", value) == b"A1 X " + octets + b"\r\n"


def test_a_command_has_no_space_at_its_end():
    assert line("NOOP") == b"A1 NOOP\r\n"
    assert line("UID FETCH", UidSet(1), [Raw("UID"), Raw("FLAGS")]) == b"A1 UID FETCH 1 (UID FLAGS)\r\n"


@pytest.mark.parametrize(
    ("mode", "size", "waits"),
    [(SYNC, 1, True), (MINUS, 4096, False), (MINUS, 4097, True), (PLUS, 4097, False), (PLUS, 200_000, False), (SYNC, 0, True)],
)
def test_a_literal_waits_where_the_server_did_not_allow_more(mode, size, waits):
    sent = line("APPEND", Mailbox("x"), Literal(b"\n" * size), literal=mode)
    assert sent == b"A1 APPEND x {%d%s}\r\n%s%s\r\n" % (size, b"" if waits else b"+", b"|" if waits else b"", b"\n" * size)


def test_several_literals_make_several_segments():
    assert line("X", "é", "y", "ü", Atom("z")) == b"A1 X {2}\r\n|\xc3\xa9 y {2}\r\n|\xc3\xbc z\r\n"
    assert (
        line("X", "é", Literal(b"q" * 5000), "ü", literal=MINUS)
        == b"A1 X {2+}\r\n\xc3\xa9 {5000}\r\n|" + b"q" * 5000 + b" {2+}\r\n\xc3\xbc\r\n"
    )


@pytest.mark.parametrize("mode", [SYNC, PLUS])
def test_a_large_literal_is_a_buffer_of_its_own_and_not_copied(mode):
    body = bytearray(b"m" * 70_000)
    command = encode_command("A1", "APPEND", Mailbox("x"), Literal(body), "end", literal=mode)
    (view,) = [buffer for segment in command.segments for buffer in segment if isinstance(buffer, memoryview)]
    assert view.obj is body
    assert view.readonly
    assert command.size == len(b"A1 APPEND x {70000}\r\n end\r\n") + 70_000 + (mode is PLUS)
    assert command.redacted == f"A1 APPEND x {{70000{'+' if mode is PLUS else ''}}} end"


def test_a_literal_may_be_any_buffer():
    assert line("X", Literal(memoryview(b"abcdef")[::1])) == b"A1 X {6}\r\n|abcdef\r\n"
    assert line("X", Literal(memoryview(b"abcdef").cast("H"))) == b"A1 X {6}\r\n|abcdef\r\n"
    assert line("X", Literal(b"\0", binary=True), literal=PLUS) == b"A1 X ~{1+}\r\n\0\r\n"


def test_utf8_is_quoted_once_it_is_enabled():
    assert line("X", "é b", utf8=True) == 'A1 X "é b"\r\n'.encode()
    assert line("X", "é", utf8=True) == 'A1 X "é"\r\n'.encode()
    assert line("X", b"\xff", utf8=True) == b"A1 X {1}\r\n|\xff\r\n"
    assert line("SELECT", Mailbox("Entwürfe & mehr"), utf8=True) == 'A1 SELECT "Entwürfe & mehr"\r\n'.encode()
    assert encode_command("A1", "X", "é", utf8=True).redacted == 'A1 X "é"'


@pytest.mark.parametrize("secret", ["hunter2", "with space", 'q"\\', "pä\r\n", "x" * 5000, "x " * 2000])
def test_a_secret_is_sent_and_never_shown(secret):
    command = encode_command("A1", "LOGIN", "me", Secret(secret))
    assert secret.encode() in re.sub(rb"\\(.)", rb"\1", b"".join(bytes(b) for s in command.segments for b in s))
    for shown in (command.redacted, repr(command), str(command)):
        assert secret[:6] not in shown
    assert command.redacted == "A1 LOGIN me '…'" or command.redacted.startswith("A1 LOGIN me {")


@pytest.mark.parametrize("secret", ["canary\ud800", "canary\0"])
def test_a_secret_that_cannot_be_sent_is_not_shown_either(secret):
    with pytest.raises(ConfigurationError) as caught:
        encode_command("A1", "LOGIN", Secret(secret))
    assert caught.value.__context__ is None
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [frame for frame in frames if "aiogmail" in frame.filename]
    assert ours
    assert "canary" not in str(caught.value) + str([frame.locals for frame in ours])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "int: expected a number, got True"),
        (-1, "int: expected a number from 0"),
        (1 << 64, "int: expected a number from 0"),
        (1.5, "value: expected one of the types"),
        (object, "value: expected one of the types"),
        (dt.date(2024, 1, 1), "value: expected one of the types"),
        (bytearray(b"x"), "value: expected one of the types"),
        ({"a": 1}, "value: expected one of the types"),
        (UidSet(), "UidSet: expected at least one UID"),
        (dt.datetime(2024, 1, 1), "datetime: expected a time zone"),  # noqa: DTZ001
        ("\ud800", "str: expected text without lone surrogates"),
        ("a\0", "literal: expected octets without NUL"),
        (b"\0", "literal: expected octets without NUL"),
        (Literal(b"a\0"), "literal: expected octets without NUL"),
        (Literal(memoryview(b"a\0")), "literal: expected octets without NUL"),
        ([["\ud800"]], "str: expected text"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_its_place(value, reason):
    with pytest.raises(ConfigurationError) as caught:
        encode_command("A1", "UID STORE", UidSet(1), value)
    assert str(caught.value).startswith(f"UID STORE, argument 2: {reason}")


def test_lists_nest_no_deeper_than_a_server_reads():
    value = []
    for _ in range(24):
        value = [value]
    assert line("X", value).count(b"(") == 25
    with pytest.raises(ConfigurationError, match="25 lists"):
        encode_command("A1", "X", [value])


def test_a_list_without_end_is_refused_in_time():
    endless = []
    endless.append(endless)
    with pytest.raises(ConfigurationError, match="25 lists"):
        encode_command("A1", "X", endless)


@pytest.mark.parametrize("tag", ["", "A 1", "A1\r\n", "é", "A+", "*", None, "x" * 33])
def test_a_tag_is_letters_and_digits(tag):
    with pytest.raises(ConfigurationError, match="^tag: "):
        encode_command(tag, "NOOP")


@pytest.mark.parametrize("name", ["", " NOOP", "NOOP ", "UID  FETCH", "A\r\nB", "X(", "é", None, 'X"'])
def test_a_name_is_the_words_of_a_command(name):
    with pytest.raises(ConfigurationError, match="^name: "):
        encode_command("A1", name)


def test_a_line_is_bounded_and_its_literals_apart():
    limits = Limits(command_line=100, literal=200)
    assert encode_command("A1", "X", Literal(b"x" * 200), limits=limits)
    with pytest.raises(ConfigurationError, match=r"X: the command line has 10\d octets, more than Limits.command_line \(100\)"):
        encode_command("A1", "X", "a" * 98, limits=limits)
    with pytest.raises(ConfigurationError, match=r"Limits.literal \(200\) octets, got 201"):
        encode_command("A1", "X", Literal(b"x" * 201), limits=limits)


def test_the_line_for_logs_shows_everything_else():
    command = encode_command("A1", "APPEND", Mailbox("Entwürfe"), [Flag("\\Seen")], Literal(b"body"), literal=PLUS)
    assert command.redacted == "A1 APPEND Entw&APw-rfe (\\Seen) {4+}"
    assert repr(command) == "EncodedCommand(redacted='A1 APPEND Entw&APw-rfe (\\\\Seen) {4+}')"


def test_hidden_text_is_sent_and_not_logged():
    command = encode_command("A1", "LOGIN", AsIs("me"), AsIs('"hunter2"', hidden=True))
    assert command.segments == ((b'A1 LOGIN me "hunter2"\r\n',),)
    assert command.redacted == "A1 LOGIN me '…'"
