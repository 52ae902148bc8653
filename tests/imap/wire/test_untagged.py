import pytest

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import (
    Capability,
    Enabled,
    Esearch,
    Flags,
    Id,
    MailboxList,
    MailboxStatus,
    Namespace,
    NamespaceEntry,
    Quota,
    QuotaRoot,
    ResponseParser,
    Search,
    Vanished,
)

from .ways import broken, one


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("* CAPABILITY IMAP4rev1 idle  X", Capability(frozenset({"IMAP4REV1", "IDLE", "X"}))),
        ("* CAPABILITY", Capability(frozenset())),
        ("* ENABLED UTF8=ACCEPT", Enabled(frozenset({"UTF8=ACCEPT"}))),
        ("* FLAGS (\\Seen a[b] $x)", Flags(frozenset({"\\Seen", "a[b]", "$x"}))),
        ("* FLAGS () ", Flags(frozenset())),
        ("* SEARCH", Search(())),
        ("* SEARCH ", Search(())),
        ("* search 2 3 10 ", Search((2, 3, 10))),
        ("* SEARCH 2 3 (MODSEQ 917162500)", Search((2, 3), 917162500)),
        ("* SEARCH (modseq 5)", Search((), 5)),
        ("* ESEARCH", Esearch(None, False, {})),
        ('* ESEARCH (TAG "T7") UID', Esearch("T7", True, {})),
        ("* ESEARCH (TAG T7) UID ALL 5,1:3", Esearch("T7", True, {"ALL": UidSet("1:3,5")})),
        ("* ESEARCH (TAG {2}\nT7) COUNT 0", Esearch("T7", False, {"COUNT": 0})),
        ('* ESEARCH (TAG "T7" MAILBOX "a (b)" UIDVALIDITY 1) UID ALL 1:3', Esearch("T7", True, {"ALL": UidSet("1:3")})),
        ("* ESEARCH (UIDVALIDITY 1 tag 7 MAILBOX {1}\nx) UID COUNT 2", Esearch("7", True, {"COUNT": 2})),
        ("* ESEARCH (X y) COUNT 2", Esearch(None, False, {"COUNT": 2})),
        (
            "* ESEARCH UID MIN 1 max 9 UID 5 PARTIAL (1:2 NIL) ",
            Esearch(None, True, {"MIN": 1, "MAX": 9, "UID": 5, "PARTIAL": ("1:2", None)}),
        ),
        ("* VANISHED 3:5", Vanished(False, UidSet("3:5"))),
        ("* VANISHED (EARLIER) 3", Vanished(True, UidSet(3))),
        ('* LIST (\\A \\B) "/" INBOX', MailboxList("LIST", frozenset({"\\A", "\\B"}), "/", "INBOX")),
        ('* LIST () "/" inBox', MailboxList("LIST", frozenset(), "/", "INBOX")),
        ('* LSUB () "\\\\" {3}\na/b', MailboxList("LSUB", frozenset(), "\\", "a/b")),
        ('* XLIST () NIL ""', MailboxList("XLIST", frozenset(), None, "")),
        ('* LIST () "" "x" ', MailboxList("LIST", frozenset(), None, "x")),
        ('* LIST () "/" "A* B"', MailboxList("LIST", frozenset(), "/", "A* B")),
        ('* LIST () "/" "a) (\\"b"', MailboxList("LIST", frozenset(), "/", 'a) ("b')),
        ('* LIST () "/" "été"', MailboxList("LIST", frozenset(), "/", "été")),
        (
            '* LIST () "/" x (OLDNAME ("y") "childinfo" (a "b"))',
            MailboxList("LIST", frozenset(), "/", "x", {"OLDNAME": (b"y",), "CHILDINFO": ("a", b"b")}),
        ),
        ("* STATUS inbox (MESSAGES 231 UIDNEXT 44292)", MailboxStatus("INBOX", {"MESSAGES": 231, "UIDNEXT": 44292})),
        ("* STATUS {1}\nx ()", MailboxStatus("x", {})),
        (
            '* STATUS x (APPENDLIMIT NIL MAILBOXID (F1) "size" 9)',
            MailboxStatus("x", {"APPENDLIMIT": None, "MAILBOXID": ("F1",), "SIZE": 9}),
        ),
        ('* NAMESPACE (("" "/")) NIL NIL', Namespace((NamespaceEntry("", "/"),), (), ())),
        (
            '* NAMESPACE (("" "/")("~" NIL "X" ("y"))) NIL (("INBOX" "."))',
            Namespace((NamespaceEntry("", "/"), NamespaceEntry("~", None, (b"X", (b"y",)))), (), (NamespaceEntry("INBOX", "."),)),
        ),
        ('* QUOTA "" (STORAGE 450 31457280 message 1 2)', Quota("", {"STORAGE": (450, 31457280), "MESSAGE": (1, 2)})),
        ("* QUOTA root ()", Quota("root", {})),
        ('* QUOTAROOT "INBOX" ""', QuotaRoot("INBOX", ("",))),
        ("* QUOTAROOT x", QuotaRoot("x", ())),
        ("* QUOTAROOT x a {1}\nb ", QuotaRoot("x", ("a", "b"))),
        ('* ID ("name" "GImap" "os" NIL)', Id({"name": "GImap", "os": None})),
        ("* ID NIL", Id({})),
        ("* ID ()", Id({})),
        ("* ID (name {2}\nhi)", Id({"name": "hi"})),
    ],
)
def test_each_kind_is_read(text, response):
    assert one(text) == response


@pytest.mark.parametrize(
    "text",
    [
        "* CAPABILITY (x)", '* CAPABILITY "x"', "* ENABLED {1}\nx", "* FLAGS", "* FLAGS x", "* FLAGS (a (b))", '* FLAGS ("a")', "* FLAGS (a) b", "* FLAGS (a\tb)",
        "* SEARCH x", "* SEARCH 1,2", "* SEARCH 1 -2", "* SEARCH 123456789012345678901", "* SEARCH 1 (MODSEQ)", "* SEARCH 1 (X 2)", "* SEARCH 1 (MODSEQ 2",
        "* SEARCH 1 (MODSEQ 2) 3", "* SEARCH 1\t2", "* SEARCH 1 (", "* SEARCH {1}\n2",
        "* ESEARCH (TAG)", "* ESEARCH (X)", "* ESEARCH x (y", "* ESEARCH (TAG x", "* ESEARCH ALL", "* ESEARCH ALL *", "* ESEARCH ALL 0", "* ESEARCH MIN x", "* ESEARCH COUNT",
        "* ESEARCH X (1", "* ESEARCH COUNT 1(", "* ESEARCH ALL 1:4294967296",
        "* VANISHED", "* VANISHED x", "* VANISHED (EARLIER)3", "* VANISHED (EARLIER 3", "* VANISHED 1 2",
        "* LIST", "* LIST (", '* LIST () "/"', '* LIST () / "x"', '* LIST () "/"x', '* LIST () "/" x y', '* LIST () "/" x (a)', '* LIST () "/" x ((a) b)',
        '* LIST () "/" "x', '* LIST () "/" "x" (a b', '* LIST "/" "x"', '* LIST () "/" ()', '* LIST () "/" x (a b) c', '* LIST () "/" "x\\',
        "* STATUS x", "* STATUS x (MESSAGES)", "* STATUS x MESSAGES 1", "* STATUS x (1 2)", "* STATUS (x) (y 1)", "* STATUS x (a 1",
        "* NAMESPACE NIL NIL", "* NAMESPACE x NIL NIL", '* NAMESPACE ("" "/") NIL NIL', '* NAMESPACE ((a "/")) NIL NIL', '* NAMESPACE (("" 5)) NIL NIL',
        '* NAMESPACE (("")) NIL NIL', "* NAMESPACE NIL NIL NIL NIL",
        "* QUOTA x", "* QUOTA x (STORAGE 1)", "* QUOTA x (STORAGE a b)", "* QUOTA x (STORAGE 1 b)", "* QUOTA x (1 2 3)", "* QUOTA x y", "* QUOTAROOT", "* QUOTAROOT (",
        "* QUOTAROOT x (", "* ID", "* ID x", '* ID ("a")', "* ID (a (b))", "* ID ((a) b)", "* ID (a b", "* ID )",
    ],
)  # fmt: skip
def test_a_known_kind_of_the_wrong_shape_breaks_the_grammar(text):
    assert broken(text).startswith("ProtocolError")


def test_the_name_as_it_stood_is_kept():
    assert one('* LIST () "/" "&AGE-"').encoded == b"&AGE-"
    assert one("* STATUS {5}\n&AGE- (UNSEEN 1)").encoded == b"&AGE-"


def test_a_large_search_is_read_at_once():
    (search,) = ResponseParser().feed(b"* SEARCH " + b" ".join(b"%d" % n for n in range(1, 100_001)) + b"\r\n")
    assert search.numbers == tuple(range(1, 100_001))
