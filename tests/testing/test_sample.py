from aiogmail.testing import GmailEmulator
from aiogmail.testing.sample import SAMPLE, fill


def test_the_sample_has_one_of_every_kind_and_a_thread():
    account = GmailEmulator().add_account("me@gmail.com")
    assert fill(account) == len(SAMPLE) + 2
    labels = set().union(*(stored.labels for stored in account.messages))
    assert {"\\Inbox", "\\Sent", "\\Draft", "\\Spam", "\\Trash", "\\Starred", "\\Important", "Work", "Work/Bugs", "News"} <= labels
    assert account.messages[0].thread_id == account.messages[1].thread_id
    assert any("Émilie" in (stored.header("From") or "") for stored in account.messages)


def test_copies_differ_by_message_id():
    account = GmailEmulator().add_account("me@gmail.com")
    assert fill(account, 3) == 3 * (len(SAMPLE) + 2)
    assert len({stored.message_id for stored in account.messages}) == len(account.messages)
