"""Each question has the answer that the emulator's switch gives it, and nothing is left of the asking."""

import pytest

from aiogmail import Gmail, ImapClient
from aiogmail.cli.questions import ask_all
from aiogmail.secret import Secret
from aiogmail.testing import Behaviour, Fault, GmailEmulator, run_virtual

ADDRESS = "me@gmail.com"
SIMILAR, MODSEQ, COPY, FLAG, LABEL, OWN, SENT, STALE, RECENT, BIN, AGAIN, NAME, ABOVE, LOGIN, BAD, TRIES, WORDS, POPS = range(18)


def asked(*faults, patience=30.0, **behaviour):
    """All answers, and the account as it is afterwards."""

    async def main():
        async with GmailEmulator(behaviour=Behaviour(**behaviour)) as server:
            account = server.add_account(ADDRESS)
            account.deliver(b"Subject: mine\r\n\r\nbody\r\n")
            for fault in faults:
                server.faults.add(fault)

            def connection():
                return ImapClient(ADDRESS, account.credentials(), settings=server.settings)

            async def token():
                return Secret(account.access_token())

            async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
                answers = [one async for one in ask_all(gmail, connection, token, patience=patience)]
                left = [one.name for one in await gmail.mailboxes() if one.name.startswith("aiogmail")]
                async with gmail.mailbox("[Gmail]/All Mail", readonly=True) as everything:
                    kept = [message.envelope.subject async for message in everything.fetch(await everything.search(), "envelope")]
            return answers, left, kept, account.ledger.submissions

    return run_virtual(main())


def test_every_question_is_settled_and_nothing_is_left_behind():
    answers, left, kept, submissions = asked()
    assert len(answers) == 18
    assert len({one.question for one in answers}) == 18
    assert all(one.question.endswith("?") and one.evidence for one in answers)
    assert "not settled" not in [one.answer for one in answers]
    assert left == []
    assert kept == ["mine"]
    [submitted] = submissions
    assert submitted.recipients == (ADDRESS,), "sent to oneself alone"


@pytest.mark.parametrize(
    ("number", "behaviour", "answer"),
    [
        (SIMILAR, {"append_duplicate": "label"}, "kept the first"),
        (SIMILAR, {"append_duplicate": "replace"}, "replaced: another UID"),
        (SIMILAR, {"append_duplicate": "store"}, "kept both"),
        (MODSEQ, {"labels_move_modseq": True}, "yes"),
        (MODSEQ, {"labels_move_modseq": False}, "no"),
        (COPY, {"copyuid_on_repeat": True}, "the same UID"),
        (COPY, {"copyuid_on_repeat": False}, "another UID"),
        (FLAG, {}, "yes"),
        (FLAG, {"idle_delay": 600.0}, "no"),
        (LABEL, {}, "no"),
        (OWN, {"own_label_removable": True}, "yes"),
        (OWN, {"own_label_removable": False}, "no"),
        (SENT, {"sent_copy_delay": 10.0}, "the Message-ID is kept"),
        (SENT, {"sent_copy": False}, "no copy"),
        (STALE, {}, "refused with MODIFIED"),
        (RECENT, {}, "let in"),
        (RECENT, {"recent_in_xoauth2": False}, "refused"),
        (RECENT, {"pop_enabled": False}, "not settled"),
        (BIN, {"append_to_bin": "move"}, "it is moved there"),
        (BIN, {"append_to_bin": "store"}, "a second one is stored"),
        (NAME, {}, "225 characters"),
        (NAME, {"max_label": 100}, "100 characters"),
        (NAME, {"max_label": 1000}, "500 characters or more"),
        (ABOVE, {"parents_made": True}, "yes"),
        (ABOVE, {"parents_made": False}, "no"),
        (LOGIN, {"unauthenticated_timeout": 40.0}, "it is closed"),
        (LOGIN, {}, "it stays open"),
        (BAD, {"max_bad_commands": 10}, "it is closed"),
        (BAD, {}, "it stays open"),
        (TRIES, {"auth_tries": 3}, "it is closed"),
        (TRIES, {"auth_tries": 0}, "it stays open"),
        (WORDS, {"bdat_text": "354 more"}, "250 and 354"),
        (POPS, {}, "yes"),
        (POPS, {"pop_exclusive": True}, "no"),
        (AGAIN, {"uidvalidity_on_recreate": True}, "yes"),
        (AGAIN, {"uidvalidity_on_recreate": False}, "no"),
    ],
)
def test_each_question_tells_what_the_server_does(number, behaviour, answer):
    answers, left, *_ = asked(**behaviour)
    assert answers[number].answer == answer, answers[number]
    assert left == []


def test_how_late_something_was_told_is_measured():
    answers, *_ = asked(idle_delay=7.0, sent_copy_delay=10.0)
    assert answers[FLAG].evidence.startswith("after 7.")
    assert answers[SENT].evidence.startswith("in Sent 1")


def test_what_the_server_refuses_is_not_settled_and_the_rest_is_asked():
    refusal = Fault("answer", command="APPEND", text="NO [OVERQUOTA] no room", times=1)
    answers, left, kept, _ = asked(refusal)
    assert answers[SIMILAR].answer == "not settled"
    assert "no room" in answers[SIMILAR].evidence
    assert answers[MODSEQ].answer == "yes"
    assert (left, kept) == ([], ["mine"])


def test_a_label_that_cannot_be_made_again_is_not_settled():
    # The first CREATE and DELETE are of the label and of the copies' one.
    refusal = Fault("answer", command="CREATE", text="NO [OVERQUOTA] too many labels", skip=2)
    answers, _, kept, _ = asked(refusal)
    assert answers[AGAIN].answer == "not settled"
    assert "too many labels" in answers[AGAIN].evidence
    assert kept == ["mine"], "its messages are removed all the same"


def test_a_store_that_is_refused_is_not_settled():
    answers, left, kept, _ = asked(Fault("answer", command="UID STORE", text="NO [CANNOT] not here", times=None))
    assert {answers[number].answer for number in (MODSEQ, FLAG, LABEL, OWN)} == {"not settled"}
    assert (left, kept) == ([], ["mine"])
