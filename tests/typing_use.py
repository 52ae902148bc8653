"""Typical use, for the type checkers: never run."""

import asyncio
import datetime as dt
from email.message import EmailMessage

from aiogmail import (
    Arrived,
    Budget,
    Changed,
    ChangeResult,
    Cursor,
    Event,
    Gmail,
    GmailError,
    Gone,
    Label,
    MailboxInfo,
    MailboxReset,
    Message,
    Outcome,
    PopMail,
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


async def change(gmail: Gmail, letter: EmailMessage) -> None:
    boxes: tuple[MailboxInfo, ...] = await gmail.mailboxes(counts=True)
    async with gmail.mailbox(boxes[0].name) as box:
        done: ChangeResult = await box.move(Q.seen, "Work")
        await box.add_labels(done.applied, Label.STARRED)
        uid: int | None = await box.append(letter)
        one: Message = await box.fetch_one(uid or 1, "text")
        chunks: list[bytes] = [chunk async for chunk in box.download(one.uid, "1")]
        print(one.text, b"".join(chunks))


async def talk(gmail: Gmail, letter: EmailMessage, saved: str) -> None:
    result: SendResult = await gmail.send(letter, settle_timeout=60.0)
    print(result.confirmed_by)
    async with gmail.pop3(recent=True) as pop:
        async for mail in pop.retrieve_new(seen=set[str]()):
            popped: PopMail = mail
            print(popped.uidl)
    async with gmail.watch(Cursor.from_json(saved)) as events:
        async for event in events:
            if isinstance(event, Arrived):
                saved = event.cursor.to_json()
    async for happening in gmail.events():
        print(happening.kind, happening.when, Budget())


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
