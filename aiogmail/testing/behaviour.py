"""Which of Gmail's ways are fixed, and which are switches?

What Gmail's documentation or recorded sessions show is fixed in the servers. What is only reported, guessed or different from account to
account is a field here, with the likeliest value as its default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Behaviour"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    r"""How an emulated account and its servers behave. Times are in seconds of the event loop, sizes in bytes.

    Attributes:
        locale: language of the system mailboxes' names: ``"en"``, ``"en-GB"``, ``"de"``, ``"fr"``, ``"lt"`` or ``"ja"``.
        imap_enabled, pop_enabled, domain_imap_enabled: whether the account, or its domain, lets clients in.
        password_login: what a wrong password meets: ``"application"`` asks for an app password, ``"web"`` for a web login.
        hidden: mailboxes with "Show in IMAP" off, by English name (``"[Gmail]/All Mail"``) or label.
        folder_limit: only so many of a mailbox's newest messages are shown by IMAP.
        auto_expunge: a message marked ``\Deleted`` leaves the mailbox at once (Gmail's default).
        expunge_behavior: what becomes of a message expunged from its last visible mailbox while ``auto_expunge`` is off.
        own_label_shown: whether X-GM-LABELS names the selected mailbox too (Gmail omits it).
        own_label_removable: whether ``-X-GM-LABELS`` of the selected mailbox's own label does anything (on Gmail it does not).
        bare_system_labels: ``\Inbox`` in X-GM-LABELS instead of ``"\Inbox"``; both are seen.
        append_duplicate: a second APPEND of a message: ``"label"`` adds the label to the first, ``"replace"`` drops the old copy
            in the same mailbox and shows the new one, ``"store"`` keeps both.
        similar: when an APPEND is of a message that is there already: the same Message-ID (``"id"``), and Date (``"date"``), and Subject
            (``"subject"``), and body (``"body"``). Gmail compares "similar content" and does not say what.
        append_to_bin: an APPEND to Trash or Spam of a message that is there: ``"move"`` takes it there, ``"store"`` stores a second one.
        labels_move_modseq: whether a change of labels counts as a change (CONDSTORE).
        copyuid_on_repeat: whether a COPY of what is in the target already names its UIDs in COPYUID.
        modified_text: the tagged OK of a STORE that found newer messages; ``{uids}`` are those.
        expunge_in_fetch: whether FETCH without UID tells of expunged messages, as clients have met it and RFC 9051 forbids.
        parents_made: whether CREATE of ``a/b`` makes ``a`` a label too.
        max_label: characters of a label's whole name.
        rename_refusal, delete_refusal: what renaming or deleting one of Gmail's own mailboxes meets.
        uidvalidity_on_recreate: whether a label made again after its deletion has a new UIDVALIDITY.
        misses_odd_message_ids: ``HEADER Message-ID`` does not find ids with unusual characters.
        utf8_search_refused: after ENABLE UTF8=ACCEPT a search for other than ASCII is BAD, as one project has measured.
        search_delay: how long a new message is missing from SEARCH by text.
        idle_delay: from a change to the line that an IDLE hears about it.
        unauthenticated_timeout: a connection that does not log in ends after this.
        imap_idle_timeout: an IMAP session without a command ends (silently) after this; ``None``: never.
        session_lifetime: an IMAP session ends after this whatever its token; ``None``: never.
        pop_session_lifetime: the same for POP3.
        session_ends_with_token: whether a session authorised by a token ends when the token does.
        session_grace: how long after its token a session ends.
        max_connections: IMAP sessions of one account.
        login_rate: logins of one account within ``login_window`` that are let in; ``None``: any number.
        auth_tries: failed logins on one connection before it is closed; 0: any number.
        max_bad_commands: BAD replies on one connection before it is closed; 0: any number.
        throttled: tagged replies end in `` [THROTTLED]``.
        command_limit: IMAP commands of one session before ``* BYE [OVERQUOTA]``; ``None``: any number.
        bandwidth_limit: bytes an IMAP session may be sent before the same, at that very byte; ``None``: any number.
        append_limit: largest message IMAP takes.
        quota: storage, in KiB.
        message_size_limit: largest message SMTP takes.
        messages_per_connection: messages SMTP takes on one connection before 421; ``None``: any number (reports: 70 to 100).
        daily_sending_limit: messages an account may send a day.
        max_recipients: recipients of one message.
        smtp_noop_text, bdat_text: the replies to NOOP and to a chunk that is not the last.
        smtp_idle_timeout: after this an SMTP connection answers its next command with a stale 451 and closes.
        sent_copy: whether a copy of what SMTP takes is filed in Sent; ``sent_copy_delay`` after it was taken.
        delivery_delay: from SMTP's acceptance to the arrival at an emulated recipient.
        pop_window: messages one POP session shows.
        pop_after: what becomes of a message once popped.
        pop_access: which messages POP sees: all, or those that came after POP was switched on (``"fromNowOn"``).
        pop_commit: whether a message counts as popped when RETR ends or at QUIT.
        pop_exclusive: whether a second POP3 session of an account is refused as ``[IN-USE]``.
        recent_in_xoauth2: whether ``recent:`` before the address works in XOAUTH2's user field too.
        pop_seems_empty: the treacherous success: ``+OK [SYS/TEMP] … this mailbox will seem empty.``
        token_lifetime: what ``expires_in`` says and how long an access token lives.
        refresh_token_lifetime: a grant's life (604799 for a project in testing); ``None``: unlimited.
        rotate_refresh_tokens: each refresh gives a new refresh token and kills the old one (Google does not).
        token_delay: how long the token endpoint thinks.
        refresh_tokens_per_client: live refresh tokens of one account and client; the oldest dies silently.
        challenge_status: ``status`` in the failure challenge: ``"400"`` in every recent log, ``"401"`` in Google's pages.
    """

    locale: str = "en"
    imap_enabled: bool = True
    pop_enabled: bool = True
    domain_imap_enabled: bool = True
    password_login: Literal["application", "web", "plain"] = "application"  # noqa: S105  the name of a refusal
    hidden: frozenset[str] = frozenset()
    folder_limit: int | None = None
    auto_expunge: bool = True
    expunge_behavior: Literal["archive", "trash", "deleteForever"] = "archive"
    own_label_shown: bool = False
    own_label_removable: bool = False
    bare_system_labels: bool = False
    append_duplicate: Literal["label", "replace", "store"] = "label"
    similar: Literal["id", "date", "subject", "body"] = "date"
    append_to_bin: Literal["move", "store"] = "move"
    labels_move_modseq: bool = True
    copyuid_on_repeat: bool = True
    modified_text: str = "[MODIFIED {uids}] (Success)"
    expunge_in_fetch: bool = False
    parents_made: bool = False
    max_label: int = 225
    rename_refusal: str = "Folder is not allowed to be renamed."
    delete_refusal: str = "Folder is not allowed to be deleted."
    uidvalidity_on_recreate: bool = True
    misses_odd_message_ids: bool = True
    utf8_search_refused: bool = True
    search_delay: float = 0.0
    idle_delay: float = 0.0
    unauthenticated_timeout: float = 120.0
    imap_idle_timeout: float | None = None
    session_lifetime: float | None = 86_400.0
    pop_session_lifetime: float | None = 604_800.0
    session_ends_with_token: bool = True
    session_grace: float = 0.0
    max_connections: int = 15
    login_rate: int | None = None
    login_window: float = 60.0
    auth_tries: int = 3
    max_bad_commands: int = 0
    throttled: bool = False
    command_limit: int | None = None
    bandwidth_limit: int | None = None
    append_limit: int = 35_651_584
    quota: int = 15 * 1024 * 1024
    message_size_limit: int = 35_882_577
    messages_per_connection: int | None = None
    daily_sending_limit: int | None = None
    max_recipients: int = 100
    smtp_noop_text: str = "250 2.0.0 OK"
    bdat_text: str = "250 2.0.0 OK"
    smtp_idle_timeout: float | None = 600.0
    sent_copy: bool = True
    sent_copy_delay: float = 0.0
    delivery_delay: float = 0.0
    pop_window: int = 250
    pop_after: Literal["leaveInInbox", "archive", "trash", "markRead"] = "leaveInInbox"
    pop_access: Literal["allMail", "fromNowOn"] = "allMail"
    pop_commit: Literal["quit", "retr"] = "quit"
    pop_exclusive: bool = False
    recent_in_xoauth2: bool = True
    pop_seems_empty: bool = False
    token_lifetime: float = 3599
    refresh_token_lifetime: float | None = None
    rotate_refresh_tokens: bool = False
    token_delay: float = 0.0
    refresh_tokens_per_client: int = 100
    challenge_status: str = "400"
