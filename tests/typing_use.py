"""Typical use, for the type checkers: never run."""

import asyncio
import datetime as dt

from aiogmail import (
    Arrived,
    Changed,
    Cursor,
    Event,
    Gmail,
    GmailError,
    Gone,
    MailboxReset,
    Message,
    Outcome,
    Q,
    Query,
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
            try:
                await inbox.noop()
            except GmailError as error:
                outcome: Outcome | None = error.outcome
                print(error.retryable, error.connection_lost, outcome)


async def use_watch(gmail: Gmail, saved: str) -> None:
    async with gmail.mailbox("INBOX") as inbox, inbox.watch(Cursor.from_json(saved), poll=60.0) as watch:
        cursor: Cursor = watch.cursor
        async for event in watch:
            one: Event = event
            key: tuple[str, str, int, int, str, int] = one.key
            match event:
                case Arrived(uid=uid, flags=flags, labels=labels) | Changed(uid=uid, flags=flags, labels=labels):
                    seen: bool = "\\Seen" in flags
                    print(uid, seen, sorted(labels))
                case Gone(uid=uid):
                    print(uid)
                case MailboxReset(old=old, new=new):
                    print(old, new)
            cursor = event.cursor
            print(key, cursor.to_json(), watch.mailbox.name)
    async with gmail.watch(Cursor.beginning()) as everything:
        event = await anext(everything)


if __name__ == "__main__":
    asyncio.run(use())
