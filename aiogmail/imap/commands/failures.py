"""What does the server mean by NO, BAD or BYE? One table from its codes and Gmail's words to errors, floors and advice.

Gmail puts most reasons into the human text, behind ``[ALERT]`` or, of throttling, at its end: those texts are matched here and
nowhere else. The floors are the errors' own (``retry_after``): 30 s for too many connections, ten minutes for a quota, 5 s for
throttling and for what is unavailable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiogmail.errors import (
    AccessDenied,
    CommandError,
    Conflict,
    Disconnected,
    GmailError,
    MailboxNotFound,
    MessageTooLarge,
    OverQuota,
    SessionExpired,
    Throttled,
    TooManyConnections,
    Unavailable,
)
from aiogmail.imap.wire import ResponseCode, Status, Tagged

__all__ = ["RULES", "Rule", "bye_error", "command_error", "is_throttled"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which a server says one thing.

    Attributes:
        error: what it is for the caller.
        codes: response codes that say it.
        words: words of the human text that say it.
        advice: what to do, for the person who reads the error.
    """

    error: type[GmailError]
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    advice: str = ""

    def fits(self, code: str, text: str) -> bool:
        """Whether this is what was said."""
        return code in self.codes or (self.words is not None and self.words.search(text) is not None)


def _rule(error: type[GmailError], *codes: str, words: str = "", advice: str = "") -> Rule:
    return Rule(error, frozenset(codes), re.compile(words, re.IGNORECASE) if words else None, advice)


RULES: tuple[Rule, ...] = (
    # The first that fits is it. A person must do something:
    _rule(AccessDenied, words="not enabled for IMAP", advice="switch IMAP on in Gmail's settings, under Forwarding and POP/IMAP"),
    _rule(AccessDenied, words="disabled for your domain", advice="ask the Workspace administrator to allow IMAP"),
    _rule(AccessDenied, "WEBALERT", words="web (browser|login)", advice="sign in once in a browser from this network, then try again"),
    _rule(AccessDenied, words="application-specific password", advice="use OAuth, or an app password with AppPassword"),
    _rule(AccessDenied, words="insufficient (scope|permission)", advice="ask consent for the scope https://mail.google.com/"),
    # It passes, some sooner, some later:
    _rule(SessionExpired, words="session expired"),
    _rule(
        TooManyConnections,
        words="too many simultaneous connections|maximum number of connections",
        advice="an account has 15 for all its programs and devices; lower Limits.connections, or share one Gmail",
    ),
    _rule(
        OverQuota,
        "OVERQUOTA",
        words="exceeded command|exceeded bandwidth limits|lockdown in sector",
        advice="Gmail gives an account 2500 MB down and 500 MB up a day by IMAP, and unlocks it within 24 hours",
    ),
    _rule(Throttled, "THROTTLED", "LIMIT"),
    _rule(Unavailable, "UNAVAILABLE", "INUSE", words="temporary system (problem|error)|system error"),
    # It is about what was asked for:
    _rule(MailboxNotFound, "NONEXISTENT", "TRYCREATE", words="mailbox doesn't exist|unknown mailbox"),  # Dovecot 2.3 gives no code
    _rule(Conflict, "ALREADYEXISTS"),
    _rule(MessageTooLarge, "TOOBIG"),
    # Behind a reason of its own the word is about pace alone; where there is no other, it is the reason.
    _rule(Throttled, words=r"\[THROTTLED\]\s*$"),
)


def is_throttled(text: str) -> bool:
    """Whether a tagged text ends in ``[THROTTLED]``, as Gmail's do, also those of an OK, while it slows a client down."""
    return text.endswith("[THROTTLED]")


def _words(code: ResponseCode | None, text: str) -> tuple[str, str]:
    name = code.name if code is not None else ""
    return name, (f"[{name}] {text}" if name else text)


def _rule_for(code: str, text: str) -> Rule | None:
    return next((rule for rule in RULES if rule.fits(code, text)), None)


def command_error(command: str, tagged: Tagged | Status) -> GmailError:
    """The error for a command that was answered with NO or BAD."""
    code, said = _words(tagged.code, tagged.text)
    rule = _rule_for(code, tagged.text)
    message = f"{command}: the server said {tagged.status} {said}"
    if rule is not None and rule.advice:
        message += f": {rule.advice}"
    if rule is not None and not issubclass(rule.error, CommandError):
        return rule.error(message)
    kind = rule.error if rule is not None and issubclass(rule.error, CommandError) else CommandError
    return kind(message, status=tagged.status, code=code, text=tagged.text)


def bye_error(where: str, bye: Status) -> GmailError:
    """The error for a connection that the server ended with BYE; ``connection_lost`` is set."""
    code, said = _words(bye.code, bye.text)
    rule = _rule_for(code, bye.text)
    message = f"{where}: the server said BYE {said}"
    if rule is None:
        return Disconnected(message)
    if rule.advice:
        message += f": {rule.advice}"
    if not issubclass(rule.error, CommandError):
        return rule.error(message)
    if rule.error.retryable:
        return rule.error(message, status="BYE", code=code, text=bye.text, connection_lost=True)
    return Disconnected(message)
