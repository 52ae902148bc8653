import asyncio

import pytest

from aiogmail.testing import Fault
from tests.testing.support import ME, Wire, message, oauthbearer, on_server, xoauth2

CHALLENGE = "+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ=="


class Pop(Wire):
    def __init__(self, server, user=ME):
        super().__init__(server, "pop3")
        self.user = user

    async def __aenter__(self):
        await self.open()
        await self.line()
        self.welcome = await self.pop("AUTH XOAUTH2 " + xoauth2(self.server.access_token(ME), self.user))
        return self


@on_server()
async def test_greeting_and_capabilities_before_and_after_login(server, me):
    async with Wire(server, "pop3") as wire:
        assert (await wire.line()).startswith("+OK Gpop ready for requests from 127.0.0.1 ")
        before = ["USER", "RESP-CODES", "EXPIRE 0", "LOGIN-DELAY 300", "TOP", "UIDL", "X-GOOGLE-RICO", "SASL PLAIN XOAUTH2 OAUTHBEARER"]
        assert await wire.pop("CAPA", multi=True) == ["+OK Capability list follows", *before, "."]
        assert await wire.pop("AUTH OAUTHBEARER " + oauthbearer(me.access_token())) == ["+OK Welcome."]
        after = ["USER", "RESP-CODES", "PIPELINING", "EXPIRE 0", "LOGIN-DELAY 300", "TOP", "UIDL", "X-GOOGLE-RICO"]
        assert await wire.pop("CAPA", multi=True) == ["+OK Capability list follows", *after, "."]


@on_server(password_login="plain", auth_tries=0)
async def test_logins(server, me):
    me.app_password = "secret"
    async with Wire(server, "pop3") as wire:
        await wire.line()
        assert await wire.pop("STAT") == ["-ERR bad command"]
        assert await wire.pop("AUTH XOAUTH2") == ["+ "]
        assert await wire.pop(xoauth2("bad")) == [CHALLENGE]
        assert await wire.pop("") == ["-ERR [AUTH] Invalid credentials."]
        await wire.pop("AUTH XOAUTH2 " + xoauth2("bad"))
        assert await wire.pop("STAT") == ["-ERR bad command"]
        assert await wire.pop("AUTH XOAUTH2 !!") == ["-ERR [AUTH] Invalid credentials."]
        assert await wire.pop("AUTH CRAM-MD5") == ["-ERR bad command"]
        wire.send("AUTH\r\n")
        assert [await wire.line() for _ in range(5)] == ["+OK", "PLAIN", "XOAUTH2", "OAUTHBEARER", "."]
        assert await wire.pop("USER me@gmail.com") == ["+OK send PASS"]
        assert await wire.pop("PASS wrong") == ["-ERR [AUTH] Username and password not accepted."]
        me.configure(password_login="application")
        assert (await wire.pop("PASS wrong"))[0].startswith("-ERR [AUTH] Application-specific password required: ")
        me.configure(password_login="web")
        assert await wire.pop("PASS wrong") == ["-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754"]
        me.configure(login_rate=0)
        assert await wire.pop("PASS secret") == ["-ERR [AUTH] Account exceeded pop command or bandwidth limits (Failure)"]
        me.configure(login_rate=None)
        assert await wire.pop("PASS secret") == ["+OK Welcome."]


@on_server(auth_tries=1)
async def test_failed_tries_end_the_connection(server, me):
    async with Wire(server, "pop3") as wire:
        await wire.line()
        await wire.pop("PASS x")
        assert await wire.line() is None


@on_server()
async def test_a_session_word_for_word(server, me):
    first = me.deliver(message("one", ".dot\r\n..two\r\n"), flags=["\\Seen"])
    second = me.deliver(message("two", "a\r\nb\r\nc"))
    async with Pop(server) as wire:
        assert wire.welcome == ["+OK Welcome."]
        assert await wire.pop("STAT") == [f"+OK 2 {first.size + second.size}"]
        assert await wire.pop("LIST", multi=True) == ["+OK message sizes follow", f"1 {first.size}", f"2 {second.size}", "."]
        assert await wire.pop("LIST 2") == [f"+OK 2 {second.size}"]
        assert await wire.pop("UIDL", multi=True) == [
            "+OK UIDs follow",
            f"1 GmailId{first.gmail_id:016x}",
            f"2 GmailId{second.gmail_id:016x}",
            ".",
        ]
        assert len((await wire.pop("UIDL 1"))[0].split()[2]) == 23
        lines = await wire.pop("RETR 1", multi=True)
        assert lines[0] == "+OK message follows"
        assert lines[-4:] == ["", "..dot", "...two", "."]
        assert (await wire.pop("RETR 2", multi=True))[-2:] == ["c", "."]
        assert (await wire.pop("TOP 2 2", multi=True))[-4:] == ["", "a", "b", "."]
        assert await wire.pop("TOP 2") == ["-ERR bad command"]
        assert await wire.pop("RETR 3") == ["-ERR Message number out of range."]
        assert await wire.pop("TOP x 1") == ["-ERR Message number out of range."]
        assert await wire.pop("DELE 1") == ["+OK"]
        assert await wire.pop("DELE 1") == ["-ERR Message number out of range."]
        assert await wire.pop("STAT") == [f"+OK 1 {second.size}"]
        assert await wire.pop("RSET") == ["+OK"]
        assert await wire.pop("NOOP") == ["+OK"]
        assert await wire.pop("LAST") == ["-ERR Not supported"]
        assert await wire.pop("XYZ") == ["-ERR bad command"]
        assert await wire.pop("QUIT") == ["+OK Farewell."]
        assert await wire.line() is None
    assert me.ledger.connections[0].reason == "quit"


@on_server()
async def test_an_empty_message_and_one_that_begins_with_a_dot(server, me):
    me.deliver(b"")
    me.deliver(b".x: y\r\n\r\n")
    async with Pop(server) as wire:
        assert await wire.pop("RETR 1", multi=True) == ["+OK message follows", "."]
        assert await wire.pop("RETR 2", multi=True) == ["+OK message follows", "..x: y", "", "."]


@on_server()
async def test_retr_and_a_clean_quit_pop_a_message_and_a_dropped_connection_does_not(server, me):
    me.deliver(message())
    async with Pop(server) as wire:
        await wire.pop("RETR 1", multi=True)
    await asyncio.sleep(1)
    async with Pop(server) as wire:
        assert (await wire.pop("STAT"))[0].startswith("+OK 1 ")
        await wire.pop("RETR 1", multi=True)
        await wire.pop("QUIT")
    async with Pop(server) as wire:
        assert await wire.pop("STAT") == ["+OK 0 0"]
    async with Pop(server, "recent:me@gmail.com") as wire:
        assert (await wire.pop("STAT"))[0].startswith("+OK 1 ")


@on_server(pop_commit="retr")
async def test_the_variant_that_pops_when_retr_ends(server, me):
    me.deliver(message())
    async with Pop(server) as wire:
        await wire.pop("RETR 1", multi=True)
    assert me.messages[0].popped


@pytest.mark.parametrize(
    ("setting", "labels", "flags"),
    [("leaveInInbox", {"\\Inbox"}, set()), ("archive", set(), set()), ("trash", {"\\Trash"}, set()), ("markRead", {"\\Inbox"}, {"\\Seen"})],
)
def test_what_becomes_of_a_popped_message(setting, labels, flags):
    @on_server(pop_after=setting)
    async def run(server, me):
        stored, gone = me.deliver(message()), me.deliver(message("x"))
        async with Pop(server) as wire:
            await wire.pop("RETR 1", multi=True)
            await wire.pop("DELE 2")
            me.remove(gone)
            await wire.pop("QUIT")
        assert (stored.labels, stored.flags, stored.popped) == (labels, flags, True)

    run()


@on_server(pop_window=2)
async def test_a_session_shows_a_window_oldest_first_without_spam_trash_and_drafts(server, me):
    for label in ("\\Spam", "\\Trash", "\\Draft"):
        me.deliver(message(label), [label])
    shown = [me.deliver(message(str(number)), [] if number == 0 else ["\\Inbox"]) for number in range(3)]
    async with Pop(server) as wire:
        assert (await wire.pop("UIDL", multi=True))[1:-1] == [
            f"{number} GmailId{stored.gmail_id:016x}" for number, stored in enumerate(shown[:2], 1)
        ]


@on_server(pop_access="fromNowOn")
async def test_pop_may_show_only_what_came_since_it_was_switched_on(server, me):
    me.deliver(message(), date=1_000_000_000)
    me.deliver(message("new"))
    async with Pop(server) as wire:
        assert len(await wire.pop("UIDL", multi=True)) == 3


@on_server()
async def test_recent_mode_ends_after_thirty_days(server, me):
    me.deliver(message(), date=server.hub.wall() - 31 * 86_400)
    me.deliver(message("b"), date=server.hub.wall() - 29 * 86_400)
    async with Pop(server, "recent:me@gmail.com") as wire:
        assert len(await wire.pop("UIDL", multi=True)) == 3


@on_server(pop_enabled=False)
async def test_pop_that_is_off_shows_only_after_a_successful_login(server, me):
    async with Pop(server) as wire:
        assert wire.welcome == ["+OK Welcome."]
        assert await wire.pop("STAT") == [
            (
                "-ERR [SYS/PERM] Your account is not enabled for POP access. "
                "Please visit your Gmail settings page and enable your account for POP access."
            )
        ]
        assert await wire.pop("QUIT") == ["+OK Farewell."]


@on_server(pop_seems_empty=True)
async def test_the_treacherous_success(server, me):
    me.deliver(message())
    async with Pop(server) as wire:
        assert wire.welcome == ["+OK [SYS/TEMP] Due to a temporary system problem, this mailbox will seem empty."]
        assert await wire.pop("STAT") == ["+OK 0 0"]


@on_server(token_lifetime=3600)
async def test_a_session_ends_with_its_token(server, me):
    async with Pop(server) as wire:
        assert await wire.line() is None
        assert asyncio.get_running_loop().time() == pytest.approx(3600)


@on_server(session_ends_with_token=False)
async def test_a_session_lives_for_a_week(server, me):
    async with Pop(server) as wire:
        assert await wire.line() is None
        assert asyncio.get_running_loop().time() == pytest.approx(7 * 86_400)


@on_server()
async def test_faults_and_lines_without_end(server, me):
    me.deliver(message())
    server.faults.add(Fault("answer", "STAT", text="-ERR [SYS/TEMP] Temporary system problem. Please try again later."))
    server.faults.add(Fault("close", "RETR", point="reply", byte=30))
    async with Pop(server) as wire:
        assert await wire.pop("STAT") == ["-ERR [SYS/TEMP] Temporary system problem. Please try again later."]
        wire.send("RETR 1\r\n")
        assert len(await wire.rest()) == 30
    async with Pop(server) as wire:
        wire.send("x" * 20_000)
        assert await wire.line() == "-ERR bad command"
    server.faults.add(Fault("bye", "CONNECT", protocol="pop3"))
    async with Wire(server, "pop3") as wire:
        assert (await wire.line()).startswith("-ERR [SYS/TEMP]")


@on_server()
async def test_oldest_first_is_by_internal_date(server, me):
    new, old = me.deliver(message(), date=2_000_000), me.deliver(message(), date=1_000_000)
    async with Pop(server) as wire:
        listed = await wire.pop("UIDL", multi=True)
    assert [line.split("GmailId")[1] for line in listed[1:-1]] == [f"{one.gmail_id:016x}" for one in (old, new)]


@on_server()
async def test_top_of_a_number_beyond_all_measure_is_bad(server, me):
    me.deliver(message())
    async with Pop(server) as wire:
        assert await wire.pop("TOP 1 " + "9" * 5000) == ["-ERR bad command"]
        assert await wire.pop("TOP \u00b2 1") == ["-ERR Message number out of range."]


@pytest.mark.parametrize(("copy", "arrival"), [(0, 5), (5, 0), (0, 0)])
def test_mail_to_oneself_is_popped_whichever_copy_comes_first(copy, arrival):
    @on_server(sent_copy_delay=copy, delivery_delay=arrival)
    async def run(server, me):
        async with Wire(server, "smtp") as wire:
            await wire.reply()
            for line in ("EHLO me", "AUTH XOAUTH2 " + xoauth2(me.access_token()), f"MAIL FROM:<{ME}>", f"RCPT TO:<{ME}>", "DATA"):
                await wire.smtp(line)
            assert (await wire.smtp(message().decode() + "."))[0].startswith("250")
        await asyncio.sleep(6)
        assert [stored.popped for stored in me.messages] == [True]
        assert me.messages[0].labels == {"\\Inbox", "\\Sent"}

    run()
