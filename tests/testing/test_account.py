import random
from datetime import UTC, datetime
from email.message import Message

import pytest

from aiogmail.testing.account import AccountModel
from aiogmail.testing.behaviour import Behaviour
from aiogmail.testing.message import Refused
from tests.testing.support import ME, email, message


def account(**behaviour):
    return AccountModel(ME, Behaviour(**behaviour), lambda: 1_767_225_600.0)


def check(model):
    """What always holds, whatever was done."""
    stores = {model.all_mail, model.trash, model.spam}
    for stored in model.messages:
        assert sum(stored in box for box in stores) == 1
        assert stored in stored.store
        assert stored.modseq <= model.modseq
        places = {box for box in model.mailboxes.values() if stored in box}
        assert places == set(stored.mailboxes)
        if stored.store is not model.all_mail:
            assert not stored.labelled
        else:
            assert (stored in model.starred) == ("\\Flagged" in stored.flags)
            assert (stored in model.drafts) == ("\\Draft" in stored.flags)
    for box in model.mailboxes.values():
        assert box.order == sorted(box.by_uid) == sorted(box.uid_of.values())
        assert all(uid < box.uidnext for uid in box.order)
        assert {box.uid_of[stored] for stored in box.messages} == set(box.order)
        assert set(box.messages) <= set(model.messages)
        assert box.deleted <= set(box.messages)
    assert model.storage() == sum(stored.size for stored in model.messages) // 1024


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(20))
def test_after_any_changes_stores_labels_and_flags_agree(seed):
    rng = random.Random(seed)
    model = account(auto_expunge=seed % 2 == 0, expunge_behavior=rng.choice(["archive", "trash", "deleteForever"]))
    for name in ("A", "B", "A/C"):
        model.labels.create(name, model.behaviour)
    modseq, uidnext = 0, {}
    for step in range(300):
        boxes = list(model.mailboxes.values())
        stored = rng.choice(model.messages) if model.messages else None
        choice = rng.randrange(9)
        if stored is None or choice == 0:
            model.deliver(
                message(Message_ID=f"<{step % 40}@x.org>"),
                rng.sample(["\\Inbox", "A", "\\Trash", "\\Starred", "\\Draft"], 2),
                flags=rng.sample(["\\Seen", "\\Flagged"], 1),
            )
        elif choice == 1:
            model.append(message(Message_ID=f"<{step % 40}@x.org>"), rng.choice(boxes), rng.sample(["\\Seen", "\\Deleted"], 1), None)
        elif choice == 2:
            model.set_flags(stored, rng.sample(["\\Seen", "\\Flagged", "\\Draft", "x"], 2))
        elif choice == 3:
            model.set_labels(stored, rng.sample(boxes, 2))
        elif choice == 4:
            model.copy(stored, rng.choice(boxes))
        elif choice == 5:
            model.move(stored, rng.choice(list(stored.mailboxes)), rng.choice(boxes))
        elif choice == 6:
            model.mark_deleted(stored, rng.choice(list(stored.mailboxes)), deleted=rng.random() < 0.7)
        elif choice == 7:
            model.expunge(stored, rng.choice(list(stored.mailboxes)))
        elif rng.random() < 0.2:
            model.remove(stored)
        check(model)
        assert model.modseq >= modseq
        modseq = model.modseq
        for name, box in model.mailboxes.items():
            assert box.uidnext >= uidnext.get(name, 0)
            uidnext[name] = box.uidnext


def test_a_message_comes_in_any_form_and_is_kept_with_crlf():
    model = account()
    old = Message()
    old["Subject"] = "old"
    old.set_payload("body\n")
    for form in (b"Subject: x\n\nbody\n", "Subject: x\n\nbody\n", email("x"), old):
        stored = model.deliver(form)
        assert stored.raw.count(b"\n") == stored.raw.count(b"\r\n")
        assert stored.email["Subject"] in {"x", "old"}


def test_ids_rise_and_fit_in_64_bits_and_a_seed_repeats_them():
    first, second = (
        [stored.gmail_id for stored in (model.deliver(message()), model.deliver(message()))] for model in (account(), account())
    )
    assert first == second == sorted(first)
    assert all(0 < number < 1 << 64 for number in first)


def test_a_reply_with_the_same_subject_joins_the_thread():
    model = account()
    first = model.deliver(message("Plan", Message_ID="<1@x.org>"))
    assert first.thread_id == first.gmail_id
    assert model.deliver(message("Re: Plan", In_Reply_To="<1@x.org>")).thread_id == first.thread_id
    assert model.deliver(message("Fwd: RE: plan", References="<0@x.org> <1@x.org> <9@x.org>")).thread_id == first.thread_id
    assert model.deliver(message("Other", References="<1@x.org>")).thread_id != first.thread_id
    assert model.deliver(message("Plan")).thread_id != first.thread_id
    assert model.deliver(message("x"), thread_id=first.thread_id).thread_id == first.thread_id


def test_dates_are_datetimes_or_seconds_and_now_by_default():
    model = account()
    assert model.deliver(message(), date=datetime(2020, 1, 1, tzinfo=UTC)).received.year == 2020
    assert model.deliver(message(), date=5).internal_date == 5
    assert model.deliver(message()).internal_date == 1_767_225_600


def test_labels_are_found_by_name_label_and_alias():
    model = account(locale="de")
    assert model.mailbox("\\Sent") is model.mailbox("[Google Mail]/Gesendet") is model.sent
    assert model.mailbox("\\Drafts") is model.mailbox("\\draft") is model.drafts
    assert model.mailbox("inbox") is model.inbox
    with pytest.raises(KeyError):
        model.mailbox("nothing")
    assert model.by_gmail_id(7) is None


def test_system_labels_cannot_be_deleted_and_names_are_checked():
    model = account()
    with pytest.raises(Refused, match="CANNOT"):
        model.delete_label(model.trash)
    for name in ("[Gmail]/x", "a//b", "x" * 300, "a\tb", " a", ""):
        with pytest.raises(Refused):
            model.labels.create(name, model.behaviour)
    with pytest.raises(Refused):
        model.labels.rename("[Gmail]", "x", model.behaviour)
    model.labels.create("a/b", model.behaviour)
    with pytest.raises(Refused):
        model.labels.rename("a", "a/b/c", model.behaviour)
    assert str(Refused("", "text")) == "text"


def test_a_copy_in_sent_is_filed_once():
    model = account()
    raw = message(Message_ID="<1@x.org>")
    first = model.file_sent(raw)
    assert model.file_sent(raw) is first
    assert first.popped
    assert len(model.messages) == 1


def test_representations_say_what_and_where():
    model = account()
    stored = model.deliver(message(Message_ID="<1@x.org>"))
    assert repr(stored) == f"<message {stored.gmail_id:x} <1@x.org> in INBOX, [Gmail]/All Mail>"
    assert repr(model.inbox) == "<mailbox 'INBOX' 1 messages>"
    assert model.inbox.key == "inbox"
    assert model.labels.create("x", model.behaviour).key == ""
    assert stored.header("X-None") is None


def test_changing_uidvalidity_renumbers_from_one():
    model = account()
    for _ in range(3):
        model.deliver(message())
    model.remove(model.messages[0])
    assert model.inbox.order == [2, 3]
    assert model.change_uidvalidity("INBOX") == model.inbox.uidvalidity == 20
    assert (model.inbox.order, model.inbox.uidnext) == ([1, 2], 3)
    check(model)


def test_what_a_folder_limit_and_hidden_mailboxes_do_not_touch():
    model = account(hidden=frozenset({"[Gmail]/Spam"}))
    assert model.labels.is_hidden(model.spam, model.behaviour)
    assert not model.labels.is_hidden(model.inbox, model.behaviour)
    hidden_inbox = account(hidden=frozenset({"INBOX"}))
    assert hidden_inbox.labels.listed(hidden_inbox.behaviour)[0].name == "[Gmail]"


def test_of_several_messages_of_one_id_each_is_found_again():
    model = account()
    first = model.deliver(message("one", Message_ID="<1@x.org>"))
    second = model.deliver(message("two", Message_ID="<1@x.org>"))
    for raw, twin in ((first.raw, first), (second.raw, second)):
        model.append(raw, model.sent, (), None)
        assert twin in model.sent
    assert len(model.messages) == 2
    model.append(message("three", Message_ID="<1@x.org>", Date="Tue, 06 Jan 2026 08:00:00 +0000"), model.sent, (), None)
    assert len(model.messages) == 3
    model.remove(second)
    model.append(first.raw, model.drafts, (), None)
    assert first in model.drafts
