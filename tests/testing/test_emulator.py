import asyncio
import socket
import ssl
import subprocess
import sys

import pytest

from aiogmail.errors import StateError
from aiogmail.oauth import TokenCache
from aiogmail.settings import Settings
from aiogmail.testing import Behaviour, Fault, FaultProxy, GmailEmulator, Shape, run_virtual, text
from tests.testing.support import ME, Wire, message, on_server, quiet


def test_settings_lead_to_the_servers_over_tls_on_loopback():
    async def main():
        async with GmailEmulator() as server:
            settings = server.settings
            assert isinstance(settings, Settings)
            for endpoint in (settings.imap, settings.smtp, settings.pop3):
                assert (endpoint.host, endpoint.security) == ("127.0.0.1", "tls")
                reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=endpoint.ssl_context)
                assert b"ready" in (line := await reader.readline()) or line.startswith(b"220 ")
                writer.close()
                await writer.wait_closed()
            assert server.starttls_settings.smtp.security == "starttls"
            assert server.starttls_settings.smtp.port == server.port("submission")
            assert server.ca_pem.startswith("-----BEGIN CERTIFICATE-----")
            assert server.url("/token", "https").startswith("https://127.0.0.1:")

    asyncio.run(main())


def test_a_token_cache_refreshes_over_http_and_https():
    async def main():
        async with GmailEmulator() as server:
            server.add_account(ME)
            made = server.credentials(ME)
            assert server.credentials(ME.upper()) is made
            async with TokenCache() as tokens:
                assert (await tokens.get(ME, made)).access_token.reveal().startswith("ya29.")
            async with TokenCache(ssl_context=server.ssl_context) as tokens:
                info = {**made.to_authorized_user_info(), "token_uri": server.url("/token", "https")}
                assert await tokens.get(ME, type(made).from_authorized_user_info(info))
            assert len(server.ledger.refreshes()) == 2
            server.account(ME).revoke()
            assert server.credentials(ME) is not made
            assert server.account(ME).credentials() is server.credentials(ME)

    asyncio.run(main())


def test_a_certificate_for_another_name_is_one():
    async def main():
        async with GmailEmulator(certificate_for=("imap.example.org",)) as server:
            with pytest.raises(ssl.SSLCertVerificationError):
                await Wire(server).open()

    asyncio.run(main())


def test_starting_twice_and_asking_too_early_are_state_errors():
    async def main():
        server = GmailEmulator()
        with pytest.raises(StateError):
            _ = server.settings
        async with server:
            with pytest.raises(StateError):
                await server.start()
            await server.resume("imap")

    run_virtual(main())


def test_ports_are_taken_before_there_is_a_loop():
    server = GmailEmulator()
    server.bind()
    server.bind()
    port = server.settings.imap.port
    with pytest.raises(OSError):
        socket.create_server(("127.0.0.1", port))

    async def main():
        async with server:
            assert server.port("imap") == port
            async with Wire(server) as wire:
                assert await wire.line()

    asyncio.run(main())
    unused = GmailEmulator()
    unused.bind()
    unused.unbind()


def test_what_was_bound_for_one_kind_of_loop_does_not_start_in_another():
    in_memory = GmailEmulator()
    in_memory.bind(in_memory=True)
    assert in_memory.port("imap") == 993
    with pytest.raises(StateError, match="in memory"):
        asyncio.run(in_memory.start())
    real = GmailEmulator(tls=False)
    real.bind()
    with pytest.raises(StateError, match="sockets"):
        run_virtual(real.start())
    real.unbind()


def test_ports_of_ones_own_choice():
    async def main():
        async with GmailEmulator(ports={"imap": 1143}) as server:
            assert server.port("imap") == 1143

    run_virtual(main())


@pytest.mark.parametrize("address", ["", "me", "a@b@c", "@b", "a@", "a b@c", "a\n@c"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="add_account"):
        GmailEmulator().add_account(address)


def test_accounts_exist_once_and_are_found_in_any_case():
    server = GmailEmulator(behaviour=Behaviour(locale="de"))
    account = server.add_account("Me@Gmail.com")
    assert server.account("me@GMAIL.com") is account
    assert server.accounts == (account,)
    with pytest.raises(ValueError, match="exists already"):
        server.add_account(ME)
    with pytest.raises(KeyError):
        server.account("you@gmail.com")
    assert server.add_account("you@gmail.com", behaviour=Behaviour(locale="fr")).trash.name == "[Gmail]/Corbeille"
    assert account.trash.name == "[Google Mail]/Papierkorb"
    assert repr(account) == "<emulated me@gmail.com: 0 messages, 0 sessions>"
    assert account.tokens == []
    server.configure(quota=5)
    assert server.behaviour.quota == account.behaviour.quota == 5


@on_server()
async def test_a_paused_server_refuses_and_open_connections_stay(server, me):
    async with Wire(server) as wire:
        await wire.login()
        await server.pause("imap")
        await server.pause("imap")
        with pytest.raises(ConnectionRefusedError):
            await Wire(server).open()
        assert await wire.cmd("NOOP") == ["OK Success"]
        await server.resume("imap")
        async with Wire(server) as other:
            assert await other.line()


def test_pausing_on_real_sockets_keeps_the_port():
    async def main():
        async with GmailEmulator(tls=False) as server:
            port = server.port("imap")
            await server.pause("imap")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            await server.resume("imap")
            async with Wire(server) as wire:
                assert await wire.line()

    asyncio.run(main())


@on_server()
async def test_ended_tokens_leave_sessions_open(server, me):
    async with Wire(server) as wire:
        token = me.access_token()
        await wire.login(token=token)
        me.expire_tokens()
        assert server.hub.tokens.valid(ME, token) is None
        assert await wire.cmd("NOOP") == ["OK Success"]


@on_server()
async def test_ledgers_count_bytes_and_sessions(server, me):
    async with Wire(server) as wire:
        await wire.login()
        assert me.session_count() == 1
        assert [record.protocol for record in server.ledger.open_connections()] == ["imap"]
    await quiet()
    (record,) = me.ledger.connections
    assert record.address == ME
    assert record.received > 50
    assert record.sent > 200
    assert record.closed_at is not None
    assert record.reason == "closed by peer"


def test_replies_travel_in_the_shape_that_was_set():
    async def main():
        loop = asyncio.get_running_loop()
        async with GmailEmulator() as server:
            me = server.add_account(ME)
            me.deliver(message(body="x" * 100_000))
            server.faults.shape = Shape(latency=1, bandwidth=10_000, segment=1000)
            async with Wire(server) as wire:
                await wire.login()
                await wire.cmd("SELECT INBOX")
                start = loop.time()
                await wire.cmd("FETCH 1 BODY.PEEK[]")
                assert 11 < loop.time() - start < 13
                wire.send("L LOGOUT\r\n")
                assert (await wire.rest()).endswith(b"(Success)\r\n")
            async with Wire(server) as wire:
                await wire.login()
                await wire.cmd("SELECT INBOX")
                wire.send("A FETCH 1 BODY.PEEK[]\r\n")
                await wire.line()
                me.drop_sessions()
                assert len(await wire.rest()) < 100_000
        await quiet()

    run_virtual(main())


def test_the_end_of_the_emulator_cancels_what_was_still_to_come():
    async def main():
        async with GmailEmulator(behaviour=Behaviour(sent_copy_delay=60)) as server:
            server.add_account(ME)
            called = []
            server.hub.later(60, lambda: called.append(1))
            server.hub.later(0, lambda: called.append(2))
            server.hub.later(5, lambda: called.append(3))
            await asyncio.sleep(10)
        await asyncio.sleep(100)
        assert called == [2, 3]

    run_virtual(main())


def test_a_reset_on_a_real_socket_is_one():
    async def main():
        async with GmailEmulator(tls=False) as server:
            server.faults.add(Fault("reset", "CAPABILITY"))
            async with Wire(server) as wire:
                await wire.line()
                wire.send("A CAPABILITY\r\n")
                with pytest.raises(ConnectionResetError):
                    await wire.line()

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11, 7), reason="the ssl module of Python 3.11.2 takes either end for a good one")
def test_tls_may_end_without_its_goodbye():
    async def main():
        async with GmailEmulator() as server:
            for action in ("truncate", "close"):
                seen = []
                server.faults.add(Fault(action, "CAPABILITY"))
                loop = asyncio.get_running_loop()
                context = server.ssl_context
                # The standard library's blocking TLS tells the two ends apart; asyncio's does not.
                await loop.run_in_executor(None, _capability, server.port("imap"), context, seen)
                assert seen == ([ssl.SSLEOFError] if action == "truncate" else [b""])

    asyncio.run(main())


def _capability(port, context, seen):
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as one,
    ):
        one.recv(1000)
        one.sendall(b"A CAPABILITY\r\n")
        try:
            seen.append(one.recv(1000))
        except OSError as error:
            seen.append(type(error))


def test_a_black_hole_ends_with_the_emulator():
    async def main():
        async with GmailEmulator() as server:
            server.faults.add(Fault("blackhole", "CONNECT"))
            wire = await Wire(server).open()
            await asyncio.sleep(0.05)
        await wire.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_it_runs_on_uvloop_too():
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def main():
        async with GmailEmulator() as server, FaultProxy(("127.0.0.1", server.port("http"))) as proxy:
            me = server.add_account(ME)
            me.deliver(message(body="x" * 1_000_000))
            async with TokenCache() as tokens:
                token = await tokens.get(ME, server.credentials(ME))
                info = {**server.credentials(ME).to_authorized_user_info(), "token_uri": f"http://127.0.0.1:{proxy.port}/token"}
                assert await tokens.get(ME, type(server.credentials(ME)).from_authorized_user_info(info))
            async with Wire(server) as wire:
                await wire.login(token=token.access_token.reveal())
                await wire.cmd("SELECT INBOX")
                assert len((await wire.cmd("FETCH 1 BODY.PEEK[]"))[0]) > 1_000_000
                me.expire_sessions()
                assert await wire.line() == "* BYE Session expired, please login again."

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_port_that_is_taken_leaves_nothing_open_and_can_be_tried_again():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = GmailEmulator(ports={"pop3": other.getsockname()[1]})
        for _ in range(2):
            with pytest.raises(OSError, match="in use"):
                server.bind()
            assert not server._bound
    server.bind()
    server.unbind()


def test_what_is_made_before_a_virtual_loop_runs_is_made_at_its_beginning():
    server = GmailEmulator(behaviour=Behaviour(refresh_token_lifetime=100))
    server.bind(in_memory=True)
    account = server.add_account(ME)
    stored = account.deliver(message())
    credentials = server.credentials(ME)
    assert stored.internal_date == account.pop_since == 1_767_225_600

    async def main():
        async with server:
            assert server.credentials(ME) is credentials
            await asyncio.sleep(101)
            assert server.credentials(ME) is not credentials

    run_virtual(main())


def test_messages_that_were_read_go_with_their_emulator():
    async def main():
        async with GmailEmulator() as server:
            server.add_account(ME).deliver(message())
            async with Wire(server) as wire:
                await wire.login()
                await wire.cmd("SELECT INBOX")
                await wire.cmd("FETCH 1 BODYSTRUCTURE")
                assert text.tree.cache_info().currsize
        assert not text.tree.cache_info().currsize

    run_virtual(main())


SCHEDULE = """
import asyncio
from tests.testing.support import ME, Wire, emulated, message
async def main(server, me):
    ballast = [object() for _ in range(int(__import__("sys").argv[1]))]
    for number in range(40):
        me.deliver(message(str(number)), ["A", "B", "C", "\\Inbox"])
    async with Wire(server) as wire:
        await wire.login()
        await wire.cmd("SELECT INBOX")
        await wire.cmd("STORE 1:* +FLAGS (\\Deleted)")
        await wire.cmd("EXPUNGE")
    print([stored.header("subject") for stored in me.trash.messages], [list(stored.uids) for stored in me.messages])
    print([list(stored.uids) for stored in me.messages])
emulated(main, auto_expunge=False, expunge_behavior="trash")
"""


@pytest.mark.slow
def test_one_seed_is_one_schedule_in_every_process():
    said = {subprocess.run([sys.executable, "-c", SCHEDULE, size], capture_output=True, check=True).stdout for size in ("0", "9", "5000")}
    assert len(said) == 1


@on_server()
async def test_the_emulators_ledger_holds_what_every_accounts_holds(server, me):
    you = server.add_account("you@gmail.com")
    one, two = me.deliver(message()), you.deliver(message())
    me.append(message("x"), me.sent, (), None)
    you.set_flags(two, ["\\Seen"])
    me.set_labels(one, [me.trash])
    me.remove(one)
    assert [record.message for record in server.ledger.deliveries] == [one, two]
    for kind in ("appends", "labels", "removals"):
        assert getattr(server.ledger, kind) == getattr(me.ledger, kind) != []
    assert server.ledger.flags == you.ledger.flags != []
    assert me.ledger.flags == []
    async with Wire(server) as wire:
        await wire.login()
        await wire.cmd("NOOP")
    assert me.ledger.verbs() == ["NOOP"]
    assert server.ledger.verbs() == ["AUTHENTICATE", "NOOP"]


@on_server(bandwidth_limit=1000)
async def test_what_a_session_is_sent_is_counted_before_it_leaves(server, me):
    for _ in range(5):
        me.deliver(message(body="x" * 500))
    async with Wire(server) as wire:
        await wire.login()
        await wire.cmd("SELECT INBOX")
        wire.send("A FETCH 1:5 BODY.PEEK[]\r\n")
        text = await wire.rest()
        assert text.count(b" FETCH (") < 5
        assert text.endswith(b"* BYE [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n")
