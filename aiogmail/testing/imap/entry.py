"""CAPABILITY, AUTHENTICATE, LOGIN, ID and what else belongs to no mailbox."""

from __future__ import annotations

import re

from aiogmail.testing.auth import AuthRefused, challenge, decode_base64, read_message
from aiogmail.testing.auth import identify as who
from aiogmail.testing.channel import Interrupted
from aiogmail.testing.tokens import GMAIL_SCOPE

from .session import ImapSession
from .syntax import Args, Bad, No, quote_name

__all__ = ["authenticate", "capability", "enable", "getquota", "getquotaroot", "identify", "login", "logout", "namespace", "noop"]

_BEFORE = (
    "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR "
    "AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER"
)
_AFTER = (
    "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT "
    "LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT={limit}"
)
_WEBALERT = "NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=AKgnsbt] Web login required."
_NOT_ENABLED = "[ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable your account for IMAP access. (Failure)"
_DOMAIN_OFF = "[ALERT] IMAP access is disabled for your domain. Please contact your domain administrator. (Failure)"
_REFUSALS = {
    "challenge": "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    "password": "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    "application": "[ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)",
    "web": "[ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)",
}


def _capabilities(session: ImapSession) -> str:
    if session.state == "not authenticated":
        return _BEFORE
    return _AFTER.format(limit=session.account.behaviour.append_limit)


async def capability(session: ImapSession, args: Args) -> None:
    args.end()
    session.untagged(f"CAPABILITY {_capabilities(session)}")
    await session.ok("Thats all she wrote!" if session.state == "not authenticated" else "Success")


async def noop(session: ImapSession, args: Args) -> None:
    args.end()
    await session.ok()


async def identify(session: ImapSession, args: Args) -> None:
    """ID (RFC 2971), before and after login."""
    args.space()
    if not args.take(b"NIL"):
        args.parenthesised(lambda: b"NIL" if args.take(b"NIL") else args.string())
    args.end()
    session.untagged(
        'ID ("name" "GImap" "vendor" "Google, Inc." "support-url" "https://support.google.com/mail" '
        f'"version" "gmail_imap_200428.12_p0" "remote-host" "{session.channel.peer}")'
    )
    await session.ok()


async def logout(session: ImapSession, args: Args) -> None:
    args.end()
    session.untagged("BYE LOGOUT Requested")
    await session.ok("73 good day (Success)")
    session.over = True


async def namespace(session: ImapSession, args: Args) -> None:
    args.end()
    session.untagged('NAMESPACE (("" "/")) NIL NIL')
    await session.ok()


async def enable(session: ImapSession, args: Args) -> None:
    """ENABLE: UTF8=ACCEPT and CONDSTORE; others are passed over in silence (RFC 5161)."""
    wanted = []
    while not args.at_end():
        args.space()
        wanted.append(args.keyword())
    if not wanted:
        raise Bad
    session.utf8 = session.utf8 or "UTF8=ACCEPT" in wanted
    session.condstore = session.condstore or "CONDSTORE" in wanted
    enabled = [name for name in wanted if name in {"UTF8=ACCEPT", "CONDSTORE"}]
    session.untagged(" ".join(["ENABLED", *enabled]))
    await session.ok()


async def getquotaroot(session: ImapSession, args: Args) -> None:
    args.space()
    name = args.mailbox()
    args.end()
    session.channel.write(b'* QUOTAROOT %b ""\r\n' % quote_name(name, session.utf8))
    await _quota(session)


async def getquota(session: ImapSession, args: Args) -> None:
    args.space()
    args.astring()
    args.end()
    await _quota(session)


async def _quota(session: ImapSession) -> None:
    session.untagged(f'QUOTA "" (STORAGE {session.account.storage()} {session.account.behaviour.quota})')
    await session.ok()


async def login(session: ImapSession, args: Args) -> None:
    args.space()
    user = args.text_value()
    args.space()
    password = args.text_value()
    args.end()
    await _let_in(session, "PLAIN", user, password)


async def authenticate(session: ImapSession, args: Args) -> None:
    """AUTHENTICATE, with or without an initial response (SASL-IR)."""
    args.space()
    mechanism = args.keyword()
    if mechanism not in {"XOAUTH2", "OAUTHBEARER", "PLAIN", "PLAIN-CLIENTTOKEN"}:
        raise Bad(f"Unknown SASL method {session.sid}")
    try:
        if args.take(b" "):
            encoded = args.text[args.position :]
        else:
            session.channel.prompt(b"+ \r\n")
            encoded = (await session.channel.read_line()).rstrip(b"\r\n")
            if encoded == b"*":
                raise Bad(f"AUTHENTICATE cancelled. {session.sid}")
        await session.channel.end_request()
        if b" " in encoded:
            raise Bad
        user, secret = read_message(mechanism, decode_base64(encoded))
    except AuthRefused:
        raise Bad(f"Invalid SASL argument. {session.sid}") from None
    await _let_in(session, mechanism, user, secret)


async def _let_in(session: ImapSession, mechanism: str, user: str, secret: str) -> None:
    hub = session.hub
    try:
        account, token = who(hub, mechanism, user, secret)
    except AuthRefused as refused:
        await _refuse(session, mechanism, refused.kind)
        return
    behaviour = account.behaviour
    if not behaviour.domain_imap_enabled:
        raise No(_DOMAIN_OFF)
    if not behaviour.imap_enabled:
        raise No(_NOT_ENABLED)
    if account.session_count() >= behaviour.max_connections:
        raise No("[ALERT] Too many simultaneous connections. (Failure)")
    if not hub.may_login(account):
        raise No("[ALERT] Account exceeded command or bandwidth limits. (Failure)")
    session.start(account, token)
    session.admin = token is not None and GMAIL_SCOPE not in token.scope.split()
    session.silence(behaviour.imap_idle_timeout)
    session.untagged(f"CAPABILITY {_capabilities(session)}")
    await session.ok(f"{account.address} authenticated (Success)")


async def _refuse(session: ImapSession, mechanism: str, kind: str) -> None:
    """The challenge where a token was refused, then NO; the connection stays open for another try."""
    if kind == "challenge":
        session.channel.prompt(b"+ " + challenge(session.hub.behaviour.challenge_status) + b"\r\n")
        answer = (await session.channel.read_line()).rstrip(b"\r\n")
        # XOAUTH2 clients answer with an empty line, OAUTHBEARER clients with ^A (RFC 7628 section 3.2.3).
        if answer not in ({b"", b"AQ==", b"*"} if mechanism == "OAUTHBEARER" else {b"", b"*"}):
            raise Bad(f"Invalid SASL argument. {session.sid}")
    elif kind == "web":
        session.untagged(_WEBALERT)
    session.failed_logins += 1
    tries = session.hub.behaviour.auth_tries
    await session.no(re.sub(r"\s+", " ", _REFUSALS[kind]))
    if tries and session.failed_logins >= tries:
        raise Interrupted(f"Too many authentication failures {session.sid}")
