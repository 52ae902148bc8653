import pytest

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import ResponseCode

from .ways import broken, one


@pytest.mark.parametrize(
    ("code", "name", "args"),
    [
        ("UIDVALIDITY 1", "UIDVALIDITY", (1,)),
        ("uidnext 280", "UIDNEXT", (280,)),
        ("UNSEEN 3", "UNSEEN", (3,)),
        ("HIGHESTMODSEQ 18446744073709551615", "HIGHESTMODSEQ", (18446744073709551615,)),
        ("APPENDLIMIT 35651584", "APPENDLIMIT", (35651584,)),
        ("APPENDUID 23 1", "APPENDUID", (23, UidSet(1))),
        ("APPENDUID 23 4:6,8", "APPENDUID", (23, UidSet("4:6,8"))),
        ("COPYUID 85 1:3,5 1:21", "COPYUID", (85, UidSet("1:3,5"), UidSet("1:21"))),
        ("MODIFIED 7,9", "MODIFIED", (UidSet("7,9"),)),
        ("PERMANENTFLAGS (\\Seen a[b] x] \\*)", "PERMANENTFLAGS", (frozenset({"\\Seen", "a[b]", "x]", "\\*"}),)),
        ("PERMANENTFLAGS ()", "PERMANENTFLAGS", (frozenset(),)),
        ("CAPABILITY IMAP4rev1 auth=XOAUTH2", "CAPABILITY", (frozenset({"IMAP4REV1", "AUTH=XOAUTH2"}),)),
        ("CAPABILITY", "CAPABILITY", (frozenset(),)),
        ('BADCHARSET (UTF-8 "US-ASCII" 8)', "BADCHARSET", (("UTF-8", "US-ASCII", "8"),)),
        ("BADCHARSET", "BADCHARSET", ((),)),
        ("READ-WRITE", "READ-WRITE", ()),
        ("ALERT", "ALERT", ()),
        ("X-NEW any (thing) {5}", "X-NEW", ("any (thing) {5}",)),
        ("WEBALERT https://a.b/c?d=e&f", "WEBALERT", ("https://a.b/c?d=e&f",)),
        ("REFERRAL (a) b", "REFERRAL", ("(a) b",)),
    ],
)
@pytest.mark.parametrize("line", ["* OK", "A1 NO", "+"])
def test_a_code_is_read_with_its_arguments(line, code, name, args):
    response = one(f"{line} [{code}] text [here]")
    assert response.code == ResponseCode(name, args, code.partition(" ")[2])
    assert response.text == "text [here]"


def test_a_code_may_have_no_text_after_it():
    assert one("* OK [HIGHESTMODSEQ 35312]").text == ""
    assert one("* OK [HIGHESTMODSEQ 35312]").code.args == (35312,)
    assert one("* OK [ALERT]glued").text == "glued"
    assert one("* OK [ALERT]   spaced").text == "  spaced"


@pytest.mark.parametrize(
    "text", ["[unclosed", "[]", "[ ]", "[ ALERT] x", "words [ALERT]", '["x"] y', "[(x)] y", "[x", "[PERMANENTFLAGS (a"]
)
def test_brackets_that_hold_no_code_are_text(text):
    response = one(f"A1 OK {text}")
    assert response.code is None
    assert response.text == text


@pytest.mark.parametrize(
    "code",
    [
        "UIDVALIDITY", "UIDVALIDITY ", "UIDVALIDITY x", "UIDNEXT 1 2", "UIDNEXT 123456789012345678901", "HIGHESTMODSEQ -1", "APPENDUID 1", "APPENDUID 1 x",
        "APPENDUID 1 0", "COPYUID 1 2", "COPYUID 1 2 *", "COPYUID 1 2 4294967296", "COPYUID 1 2 3 4", "MODIFIED", "MODIFIED (1)", "PERMANENTFLAGS",
        "PERMANENTFLAGS x", "PERMANENTFLAGS (a (b))", "BADCHARSET (a (b) c) d",
    ],
)  # fmt: skip
def test_a_code_that_every_client_must_understand_with_wrong_arguments_breaks_the_grammar(code):
    assert broken(f"* OK [{code}] x").startswith("ProtocolError")


def test_the_uids_of_a_copy_are_paired_in_the_servers_order():
    code = one("A1 OK [COPYUID 7 5,3,9:11 20:24] x").code
    assert list(code.uid_pairs()) == [(5, 20), (3, 21), (9, 22), (10, 23), (11, 24)]
    assert list(one("A1 OK [COPYUID 7 5:4294967295 20] x").code.uid_pairs()) == [(5, 20)]
    assert list(one("A1 OK [ALERT] x").code.uid_pairs()) == []
