import pytest

from aiogmail.testing.account import AccountModel
from aiogmail.testing.behaviour import Behaviour
from aiogmail.testing.gmailquery import QuerySyntax, compile_query
from tests.testing.support import ME, email, message

NOW = 1_767_225_600.0  # 2026-01-01


@pytest.fixture(scope="module")
def account():
    model = AccountModel(ME, Behaviour(), lambda: NOW)
    model.deliver(message("Quarterly report", "the numbers\r\n", Message_ID="<1@x.org>", Cc="eve@example.net"), date=NOW - 86_400)
    model.deliver(
        message("lunch", "at noon, the report is done\r\n", From="Bob <bob@example.com>", To="team@example.org"),
        ["\\Inbox", "Big Plans/One"],
        flags=["\\Seen"],
        date=1_000_000_000,
    )
    made = email("photo", "see attached\n", Message_ID="<3@x.org>")
    made.add_attachment(b"x" * 3000, maintype="image", subtype="png", filename="holiday beach.png")
    model.deliver(made, ["\\Sent"], flags=["\\Flagged"], date=NOW - 40 * 86_400)
    model.deliver(message("spam offer", List_ID="<news.example.com>", Delivered_To=ME), ["\\Spam"], date=NOW)
    model.deliver(message("draft", "x" * 10), ["\\Draft", "\\Important"], flags=["CATEGORY_PROMOTIONS"], date=NOW)
    return model


CASES = [
    ("", "12345"),
    ("report", "12"),
    ('"the report"', "2"),
    ("the report", "12"),
    ("repor", ""),
    ("-report", "345"),
    ("from:bob", "2"),
    ("from:me", "3"),
    ("to:eve", "1"),
    ("to:team@example.org", "2"),
    ("cc:eve", "1"),
    ("bcc:eve", ""),
    ("subject:report", "1"),
    ("subject:(quarterly report)", "1"),
    ('subject:"quarterly report"', "1"),
    ("subject: lunch", "2"),
    ("list:news.example.com", "4"),
    ("deliveredto:me@gmail.com", "4"),
    ("has:attachment", "3"),
    ("filename:beach", "3"),
    ("filename:pdf", ""),
    ("rfc822msgid:<1@x.org>", "1"),
    ("rfc822msgid:1@x.org", "1"),
    ("larger:2000", "3"),
    ("larger:2k", "3"),
    ("smaller:1M", "12345"),
    ("larger:x", ""),
    ("after:2025/12/01", "145"),
    ("before:2025-12-01", "23"),
    ("older:2010/01/01", "2"),
    ("newer:12/31/2025", "145"),
    (f"after:{int(NOW) - 10}", "45"),
    ("newer_than:2d", "145"),
    ("older_than:1y", "2"),
    ("newer_than:2m", "1345"),
    ("after:nonsense", ""),
    ("after:2025/99/99", ""),
    ("newer_than:x", ""),
    ("label:big-plans-one", "2"),
    ("label:inbox", "12"),
    ("in:sent", "3"),
    ("in:spam", "4"),
    ("in:drafts", "5"),
    ("in:anywhere", "12345"),
    ("label:nowhere", ""),
    ("is:unread", "1345"),
    ("is:read", "2"),
    ("is:starred", "3"),
    ("is:draft", "5"),
    ("is:important", "5"),
    ("is:nonsense", ""),
    ("has:userlabels", "2"),
    ("has:nouserlabels", "1345"),
    ("category:promotions", "5"),
    ("lunch OR photo", "23"),
    ("lunch | photo", "23"),
    ("{lunch photo}", "23"),
    ("lunch AND report", "2"),
    ("report (from:bob OR subject:quarterly)", "12"),
    ("report -(from:bob)", "1"),
    ("report -from:bob", "1"),
    ("--report", "12"),
    ("OR lunch", "2"),
    ("lunch)", "2"),
    ("(lunch", "2"),
    ("-", "12345"),
    ("nonsense:value", ""),
]


@pytest.mark.parametrize(("query", "numbers"), CASES)
def test_what_a_query_finds(account, query, numbers):
    predicate = compile_query(query, account, NOW)
    assert "".join(str(number) for number, stored in enumerate(account.messages, 1) if predicate(stored)) == numbers


def test_deep_parentheses_are_refused(account):
    with pytest.raises(QuerySyntax):
        compile_query("(" * 100, account, NOW)
