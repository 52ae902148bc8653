"""Typical use, for the type checkers: never run."""

import asyncio
import datetime as dt

from aiogmail import (
    Gmail,
    GmailError,
    Message,
    Outcome,
    Q,
    Query,
    SendResult,
    Settings,
    Timeouts,
    Token,
    TokenCache,
    UidSet,
    UserCredentials,
)


async def use() -> None:
    credentials = UserCredentials.from_authorized_user_file("token.json")
    query: Query = Q.unseen & ~Q.from_("boss@example.com") | Q.gmail("has:attachment") & Q.since(dt.date(2026, 1, 1))
    settings = Settings(timeouts=Timeouts(recover=60.0))
    async with TokenCache() as tokens, Gmail("me@gmail.com", credentials, tokens=tokens, settings=settings) as gmail:
        token: Token = await tokens.get("me@gmail.com", credentials, min_ttl=60.0)
        expires: dt.datetime = token.expires_at
        async with gmail.mailbox("INBOX", readonly=True) as inbox:
            uids: UidSet = await inbox.search(query)
            exists: int = inbox.state.exists
            stream = inbox.fetch(uids, "flags", "raw")
            async with stream:
                async for message in stream:
                    one: Message = message
                    flags: frozenset[str] = one.flags
                    raw: bytes = one.raw
                    print(one.uid, flags, len(raw), exists, expires)
            sent: SendResult = await gmail.send(b"To: you@example.org\r\n\r\nhello", recipients=["you@example.org"], settle_timeout=60.0)
            async for report in gmail.send_many([b"To: you@example.org\r\n\r\nhello"], ordered=True):
                result: SendResult = report.unwrap()
                known: Outcome = await gmail.resolve(result.message_id)
                print(sent.accepted, sent.refused, known)
            try:
                await inbox.noop()
            except GmailError as error:
                outcome: Outcome | None = error.outcome
                print(error.retryable, error.connection_lost, outcome)


if __name__ == "__main__":
    asyncio.run(use())
