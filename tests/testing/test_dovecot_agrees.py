"""Where Gmail follows the RFCs, the emulator must say what Dovecot says: generated scripts run on both, step by step."""

import asyncio
import functools
import random
import re
import string
from collections import Counter
from email import message_from_string

import pytest

from aiogmail.testing import FaultProxy, GmailEmulator
from tests.support import ca
from tests.testing.support import ME, Wire, message, xoauth2

pytestmark = pytest.mark.slow  # on one Python: see noxfile.py

STEPS = 120  # of each kind
WORDS = ["amber", "basalt", "cobalt", "dune", "ember", "fjord", "garnet", "heath"]
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "$one", "Two"]


# What is sent


def corpus(rng):
    """Messages of many shapes, each with a Message-ID of its own."""
    people = [
        "Ada <ada@example.org>",
        '"Love, Lace" <love@example.org>',
        "plain@example.com",
        "Group: a@example.org, b@example.org;",
        "x@example.net (Comment)",
    ]
    for number in range(60):
        subject = " ".join(rng.sample(WORDS, 2))
        fields = {
            "From": rng.choice(people),
            "To": ", ".join(rng.sample(people, rng.randint(1, 3))),
            "Cc": rng.choice([None, "cc@example.org"]),
            "Reply-To": rng.choice([None, "reply@example.org"]),
            "In-Reply-To": rng.choice([None, "<parent@example.org>"]),
            "Message-ID": f"<{number}.agree@mail.example.org>",
            "Date": f"Mon, {rng.randint(1, 28):02} Jun 2020 {rng.randint(0, 23):02}:00:00 {rng.choice(['+0000', '-0500', '+0900'])}",
            "Subject": rng.choice([subject, f"=?utf-8?q?{subject.replace(' ', '_')}?=", f"{subject}\r\n folded"]),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        yield (head + body(rng, number, depth=0)).encode()


def body(rng, number, depth):
    text = " ".join(rng.choices(WORDS, k=rng.randint(1, 30))) + "\r\n"
    kind = rng.randrange(4 if depth < 2 else 2)
    if kind == 0:
        return f"Content-Type: text/plain; charset=us-ascii\r\n\r\n{text}"
    if kind == 1:
        return f"Content-Type: application/x-test; name=file{number}\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <c{number}>\r\n\r\nQUJD\r\n"
    if kind == 2:
        parts = "".join(f"--b{depth}\r\n{body(rng, number, depth + 1)}\r\n" for _ in range(rng.randint(1, 3)))
        return f"Content-Type: multipart/{rng.choice(['mixed', 'alternative'])}; boundary=b{depth}\r\n\r\n{parts}--b{depth}--\r\n"
    return f"Content-Type: message/rfc822\r\n\r\nSubject: within\r\nFrom: in@example.org\r\nDate: Tue, 02 Jun 2020 00:00:00 +0000\r\n{body(rng, number, depth + 1)}"


# What comes back


def parse(text):
    """An untagged line as nested lists; strings as they are, atoms upper case."""
    found, stack, position = [], [], 0
    while position < len(text):
        char = text[position]
        if char == "(":
            stack.append(found)
            found = []
        elif char == ")":
            outer = stack.pop()
            outer.append(found)
            found = outer
        elif char == '"':
            match = re.compile(r'"((?:[^"\\]|\\.)*)"').match(text, position)
            found.append("'" + re.sub(r"\\(.)", r"\1", match[1]))
            position = match.end() - 1
        elif char == "{":
            match = re.compile(r"\{(\d+)\}\r\n").match(text, position)
            found.append("'" + text[match.end() : match.end() + int(match[1])])
            position = match.end() + int(match[1]) - 1
        elif char not in " \r\n":
            match = re.compile(r"[^\s()\"{\[]+(?:\[[^\]]*\](?:<\d+>)?)?|\[").match(text, position)
            found.append(match[0].upper())
            position = match.end() - 1
        position += 1
    assert not stack
    return found


def rows(lines):
    """Message number → item → value, of the FETCH lines; flags without \\Recent and in order."""
    found = {}
    for line in lines:
        if match := re.match(r"\* (\d+) FETCH ", line):
            (items,) = parse(line[match.end() :])
            row = found.setdefault(int(match[1]), {})
            for name, value in zip(items[::2], items[1::2], strict=True):
                row[name] = sorted(set(value) - {"\\RECENT"}) if name == "FLAGS" else value
    return found


def expunged(lines, view):
    """The UIDs left of a view after the EXPUNGE lines."""
    left = list(view)
    for line in lines:
        if match := re.fullmatch(r"\* (\d+) EXPUNGE", line):
            del left[int(match[1]) - 1]
    return left


def numbers(text):
    """A UID set as a list."""
    return [
        number for part in text.split(",") for low, _, high in [part.partition(":")] for number in range(int(low), int(high or low) + 1)
    ]


def copied(lines):
    """Source UID → UID in the target, wherever COPYUID stands."""
    match = re.search(r"\[COPYUID \d+ (\S+) (\S+)\]", " ".join(lines))
    return dict(zip(numbers(match[1]), numbers(match[2]), strict=True)) if match else {}


def esearch(line):
    """What an ESEARCH line says, in whatever order."""
    words = line.split(") ", 1)[1].split()
    assert words.pop(0) == "UID"
    return dict(zip(words[::2], words[1::2], strict=True))


class Peer(Wire):
    """A wire to Dovecot."""

    def __init__(self, port):
        super().__init__(None)
        self.port = port

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=ca.client_context(), limit=1 << 26)
        return self


class Both:
    """The same command to both."""

    def __init__(self, ours, theirs):
        self.ours = ours
        self.theirs = theirs
        self.done = Counter()

    async def __call__(self, command):
        self.done[command.removeprefix("UID ").split()[0]] += 1
        ours, theirs = await self.ours.cmd(command), await self.theirs.cmd(command)
        assert ours[-1].split()[0] == theirs[-1].split()[0], (command, ours[-1], theirs[-1])
        return ours, theirs

    async def append(self, raw, flags, date):
        for wire in (self.ours, self.theirs):
            wire.send(f"P APPEND INBOX ({flags}) {date} {{{len(raw)}}}\r\n")
            assert (await wire.line()).startswith("+")
            wire.send(raw + b"\r\n")
            assert (await wire.until("P"))[-1].startswith("OK")


DATE = '"05-May-2020 00:00:00 +0000"'


def on_both(*kinds):
    """A test ``async def test(both, rng)`` of at least 100 commands of each kind: the same 60 messages in both INBOXes, selected."""
    return functools.partial(_on_both, kinds)


def _on_both(kinds, test):
    @pytest.mark.parametrize("seed", [1, 2])
    def run(seed, dovecot, address):
        async def main():
            rng = random.Random(seed)
            async with GmailEmulator() as server:
                account = server.add_account(ME)
                account.configure(auto_expunge=False)
                async with Wire(server) as ours, Peer(dovecot.ports["imaps"]) as theirs:
                    await ours.login()
                    await theirs.line()
                    assert (await theirs.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(dovecot.token(address), address)))[-1].startswith("OK")
                    both = Both(ours, theirs)
                    for raw in corpus(rng):
                        day = rng.randint(1, 28)
                        await both.append(
                            raw, " ".join(rng.sample(FLAGS, rng.randint(0, 3))), f'"{day:02}-May-2020 {rng.randint(0, 23):02}:00:00 +0000"'
                        )
                    await both("SELECT INBOX")
                    await test(both, rng)
                    for kind in kinds:
                        assert both.done[kind] >= 100, both.done

        asyncio.run(main())

    run.__name__ = test.__name__
    return run


def uid_set(rng, top=60):
    def one():
        low = rng.randint(1, top + 5)
        return rng.choice([f"{low}", f"{low}:{rng.randint(1, top + 5)}", f"{low}:*", "*"])

    return ",".join(one() for _ in range(rng.randint(1, 3)))


def search_key(rng, depth=0):
    day = f"{rng.randint(1, 28)}-{rng.choice(['May', 'Jun'])}-2020"
    if depth < 3 and rng.random() < 0.4:
        first, second = search_key(rng, depth + 1), search_key(rng, depth + 1)
        return rng.choice(
            [f"NOT {first}", f"OR {first} {second}", f"({first} {second})", f"{first} {second}" if depth == 0 else f"({first})"]
        )
    return rng.choice([
        *(prefix + name for prefix in ("", "UN") for name in ("SEEN", "ANSWERED", "FLAGGED", "DRAFT", "DELETED")),
        f"KEYWORD {rng.choice(FLAGS[4:])}", f"UNKEYWORD {rng.choice(FLAGS[4:])}", "ALL",
        f"{rng.choice(['LARGER', 'SMALLER'])} {rng.randint(100, 2000)}",
        f"{rng.choice(['BEFORE', 'ON', 'SINCE', 'SENTBEFORE', 'SENTON', 'SENTSINCE'])} {day}",
        f"SUBJECT {rng.choice(WORDS)}", f"BODY {rng.choice(WORDS)}", f"TEXT {rng.choice(WORDS)}", "CC cc@example.org", "FROM ada", "TO lace",
        f"HEADER Message-ID <{rng.randint(0, 70)}.agree@mail.example.org>", 'HEADER Reply-To ""', "HEADER In-Reply-To parent",
        f"UID {uid_set(rng)}", f"{rng.randint(1, 60)}:{rng.randint(1, 60)}", "*",
    ])  # fmt: skip


@on_both("SEARCH")
async def test_searches_find_the_same(both, rng):
    hits = 0
    for _ in range(STEPS):
        command = f"UID SEARCH {search_key(rng)}"
        ours, theirs = await both(command)
        assert ours[0].split() == theirs[0].split(), command
        hits += len(ours[0].split()) > 2
        returned = rng.choice(["MIN", "MAX", "COUNT", "ALL", "MIN MAX COUNT ALL"])
        command = command.replace("SEARCH", f"SEARCH RETURN ({returned})")
        ours, theirs = await both(command)
        assert esearch(ours[0]) == esearch(theirs[0]), command
    assert hits > STEPS // 3


ITEMS = ["FLAGS", "RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
         "BODY.PEEK[]<10.50>", "BODY.PEEK[TEXT]<0.20>", "BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)]", "BODY.PEEK[HEADER.FIELDS.NOT (TO FROM)]",
         "BODY.PEEK[1]", "BODY.PEEK[9]", "BODY.PEEK[1.9]"]  # fmt: skip


def sections(part, path=""):
    """The sections that a message has, as the standard library sees its parts. (Dovecot also finds 1.1 in a part 1 that has no parts.)"""
    if part.get_content_maintype() == "multipart":
        for number, child in enumerate(part.get_payload(), 1):
            yield from (f"BODY.PEEK[{path}{number}]", f"BODY.PEEK[{path}{number}.MIME]", f"BODY.PEEK[{path}{number}]<3.7>")
            yield from sections(child, f"{path}{number}.")
    elif part.get_content_type() == "message/rfc822":
        inner = part.get_payload(0)
        path = path or "1."
        yield from (f"BODY.PEEK[{path}HEADER]", f"BODY.PEEK[{path}TEXT]", f"BODY.PEEK[{path}HEADER.FIELDS (Subject)]")
        if inner.get_content_maintype() == "multipart":
            yield from sections(inner, path)
        else:
            yield f"BODY.PEEK[{path}1]"


def simplified(name, value):
    """What two servers may write differently and mean the same."""
    if name == "INTERNALDATE":
        return value.replace("' ", "'0")
    if name in {"BODY", "BODYSTRUCTURE"}:
        return _structure(value, extended=name == "BODYSTRUCTURE")
    if name.startswith("BODY[") and value in {"NIL", "'"}:
        return "'"  # a part that does not exist: NIL on Gmail, an empty string on Dovecot
    return value


def _structure(value, extended):
    """Upper case, and without the extensions after disposition: Gmail has no location."""
    if isinstance(value, str):
        return value.upper()
    if value and isinstance(value[0], list):
        parts = [item for item in value if isinstance(item, list) and item and (isinstance(item[0], list) or len(item) > 6)]
        return [
            *(_structure(part, extended) for part in parts),
            *(_structure(item, extended) for item in value[len(parts) : len(parts) + (2 if extended else 1)]),
        ]
    return [
        _structure(item, extended)
        for item in (value[: 7 if value[0].upper() not in {"'TEXT", "'MESSAGE"} else 8] if len(value) > 6 else value)
    ]


@on_both("FETCH")
async def test_fetches_give_the_same(both, rng):
    asked = set()
    for _ in range(STEPS):
        number = rng.randint(1, 60)
        (raw,) = (row["BODY[]"] for row in rows(await both.ours.cmd(f"FETCH {number} (BODY.PEEK[])")).values())
        own = list(sections(message_from_string(raw[1:])))
        items = rng.sample(ITEMS, rng.randint(1, 3)) + rng.sample(own, min(len(own), 3))
        asked.update(items)
        ours, theirs = await both(f"{rng.choice(['UID ', ''])}FETCH {number} ({' '.join(items)})")
        same(rows(ours), rows(theirs), items)
        items = rng.sample(ITEMS, 2)
        ours, theirs = await both(f"UID FETCH {uid_set(rng)} ({' '.join(items)})")
        same(rows(ours), rows(theirs), items)
    assert len(asked) > 30


def same(ours, theirs, items):
    assert ours.keys() == theirs.keys(), items
    for number, row in ours.items():
        for name, value in row.items():
            assert simplified(name, value) == simplified(name, theirs[number][name]), (number, name)
        assert row.keys() == theirs[number].keys()


@on_both("STORE", "FETCH")
async def test_flags_are_stored_the_same(both, rng):
    for _ in range(STEPS):
        flags = " ".join(rng.sample([*FLAGS, "\\Deleted"], rng.randint(0, 3)))
        command = f"UID STORE {uid_set(rng)} {rng.choice(['+', '-', ''])}FLAGS{rng.choice(['', '.SILENT'])} ({flags})"
        ours, theirs = (rows(lines) for lines in await both(command))
        for number in ours.keys() & theirs.keys():
            assert ours[number] == theirs[number], command
        ours, theirs = (rows(lines) for lines in await both("UID FETCH 1:* (FLAGS)"))
        assert ours == theirs, command


@on_both("COPY", "MOVE", "EXPUNGE", "STATUS")
async def test_copies_moves_and_expunges_leave_the_same_uids_everywhere(both, rng):
    targets = ["Alpha", "Beta", "Gamma"]
    inside = {name: set() for name in targets}
    for name in targets:
        await both(f"CREATE {name}")
    view = list(range(1, 61))
    for step in range(STEPS):
        # COPY: only what is not there yet, since on Gmail a mailbox shows a message once.
        name = rng.choice(targets)
        chosen = sorted(rng.sample([uid for uid in view if uid not in inside[name]] or [0], 1))
        if chosen != [0]:
            ours, theirs = await both(f"UID COPY {','.join(map(str, chosen))} {name}")
            assert copied(ours) == copied(theirs) != {}
            inside[name].update(chosen)
        # MOVE
        name = rng.choice(targets)
        chosen = [uid for uid in rng.sample(view, min(2, len(view))) if uid not in inside[name]]
        if chosen:
            ours, theirs = await both(f"UID MOVE {','.join(map(str, sorted(chosen)))} {name}")
            assert copied(ours) == copied(theirs) != {}
            assert expunged(ours, view) == expunged(theirs, view) == [uid for uid in view if uid not in chosen]
            view = [uid for uid in view if uid not in chosen]
            inside[name].update(chosen)
        # EXPUNGE
        if view:
            await both(f"UID STORE {rng.choice(view)},{rng.choice(view)} +FLAGS.SILENT (\\Deleted)")
            ours, theirs = await both(rng.choice(["EXPUNGE", f"UID EXPUNGE {uid_set(rng)}"]))
            assert expunged(ours, view) == expunged(theirs, view)
            view = expunged(ours, view)
        ours, theirs = await both("UID SEARCH ALL")
        assert ours[0].split() == theirs[0].split() == ["*", "SEARCH", *map(str, view)]
        for mailbox in ("INBOX", *targets):
            ours, theirs = await both(f"STATUS {mailbox} (MESSAGES UIDNEXT)")
            assert ours[0].replace('"', "") == theirs[0].replace('"', "")
        # New mail, so that there is always something to do.
        for more in range(3):
            await both.append(message(f"more {step}", Message_ID=f"<{step}.{more}.more@mail.example.org>"), "", DATE)
        await both("NOOP")
        top = await both("UID SEARCH ALL")
        assert top[0][0] == top[1][0]
        view = [int(uid) for uid in top[0][0].split()[2:]]
    for name in targets:
        await both(f"SELECT {name}")
        ours, theirs = (rows(lines) for lines in await both("UID FETCH 1:* (UID RFC822.SIZE)"))
        assert ours == theirs
        ours, theirs = await both(f"STATUS {name} (MESSAGES UIDNEXT)")
        assert ours[0].replace('"', "") == theirs[0].replace('"', "")


@on_both("STATUS")
async def test_status_counts_the_same(both, rng):
    for _ in range(STEPS):
        await both(f"UID STORE {uid_set(rng)} {rng.choice('+-')}FLAGS.SILENT (\\Seen)")
        ours, theirs = await both("STATUS INBOX (MESSAGES UIDNEXT UNSEEN)")
        assert ours[0].replace('"', "") == theirs[0].replace('"', "")


def listed(lines):
    """Name → whether it can be selected and has children; without the mailboxes that each server has of its own."""
    found = {}
    for line in lines[:-1]:
        match = re.fullmatch(r'\* LIST \((.*?)\) "/" "?([^"]*)"?', line)
        if match[2].split("/")[0] not in {"[Gmail]", "Drafts", "Sent", "Trash", "Junk"}:
            attributes = {"\\Noselect" if word == "\\NonExistent" else word for word in match[1].split()}
            found[match[2]] = attributes & {"\\Noselect", "\\HasChildren", "\\HasNoChildren"}
    return found


@on_both("LIST")
async def test_mailboxes_are_listed_the_same(both, rng):
    names = ["".join(rng.choices(string.ascii_lowercase, k=3)) for _ in range(4)]

    def path():
        return "/".join(rng.choices(names, k=rng.randint(1, 3)))

    for _ in range(STEPS):
        everything = listed(await both.ours.cmd('LIST "" *'))
        # Only what has nothing below it: Dovecot 2.3 forgets to call a deleted parent \Noselect (RFC 9051 section 6.3.5).
        leaves = [name for name, attributes in everything.items() if "\\HasChildren" not in attributes and name != "INBOX"]
        action = rng.choice(["CREATE", "CREATE", "DELETE", "RENAME", "NOTHING"])
        if action == "CREATE":
            await both(f"CREATE {path()}")
        elif action == "DELETE" and leaves:
            await both(f"DELETE {rng.choice(leaves)}")
        elif action == "RENAME" and leaves and (free := path()) not in everything:
            await both(f"RENAME {rng.choice(leaves)} {free}")
        for pattern in ("*", "%", f"{rng.choice(names)}/%", f"*{rng.choice(string.ascii_lowercase)}*", "%/%"):
            ours, theirs = await both(f'LIST "" "{pattern}"')
            assert listed(ours) == listed(theirs), pattern


def test_the_fault_proxy_stands_before_dovecot_too(dovecot, address):
    async def main():
        dovecot.deliver_many(address, [message(str(number), "x" * 1000 + "\r\n") for number in range(20)])
        async with FaultProxy(("127.0.0.1", dovecot.ports["imap"])) as proxy:

            async def login(wire):
                await wire.line()
                await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(dovecot.token(address), address))
                await wire.cmd("SELECT INBOX")

            class Plain(Wire):
                async def open(self):
                    self.reader, self.writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=1 << 26)
                    return self

            async with Plain(None) as wire:
                await login(wire)
                assert len(rows(await wire.cmd("UID FETCH 1:* (BODY.PEEK[])"))) == 20
                passed = 12_000
            proxy.cut("bye", at=passed, data=b"\r\n* BYE Session expired, please login again.\r\n")
            async with Plain(None) as wire:
                await login(wire)
                wire.send("F UID FETCH 1:* (BODY.PEEK[])\r\n")
                text = await wire.rest()
                assert text.endswith(b"\r\n* BYE Session expired, please login again.\r\n")
                assert len(text) < passed + 100

    asyncio.run(main())
