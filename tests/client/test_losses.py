"""Sessions are lost: one, in the middle of a fetch; and two hundred at once. Counted by the servers' ledger, in virtual time."""

import asyncio
from dataclasses import replace

import pytest

from aiogmail import Budget, Gmail, Limits, TokenCache
from aiogmail.testing import GmailEmulator, Shape, run_virtual

ROUND_TRIP = 0.04


@pytest.mark.parametrize("fresh", [True, False])
def test_from_bye_to_the_next_row_of_a_running_fetch_it_takes_at_most_six_round_trips(fresh):
    """TCP, TLS, the login, and SELECT with the rows: four. Where the token has died too, its refusal and the token endpoint come on top."""

    async def main():
        loop = asyncio.get_running_loop()
        async with GmailEmulator(tls=True) as server:
            account = server.add_account("me@gmail.com")
            for number in range(300):
                account.deliver(b"Subject: %d\r\nMessage-ID: <%d@x>\r\n\r\n%b\r\n" % (number, number, b"x" * 8000))
            loop.network.shape = Shape(latency=ROUND_TRIP / 2)
            settings = replace(server.settings, limits=Limits(buffer=64 * 1024))
            async with Gmail("me@gmail.com", account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
                seen, waits, said = [], [], None
                async for message in inbox.fetch("1:*", "raw"):
                    seen.append(message.uid)
                    if said is not None and loop.time() > said + ROUND_TRIP / 2:  # what came before BYE is handed on before
                        waits.append(loop.time() - said)
                        said = None
                    if len(seen) in (100, 200):
                        if not fresh:
                            account.expire_tokens()
                        account.expire_sessions()
                        said = loop.time()
                assert seen == list(range(1, 301))
            connections = [one for one in server.ledger.connections if one.protocol == "imap"]
            return len(connections), [wait / ROUND_TRIP for wait in waits]

    connections, waits = run_virtual(main())
    print(f"from BYE to the next row: {max(waits):.1f} round trips with a {'living' if fresh else 'dead'} token")
    assert len(waits) == 2
    assert connections == 3
    assert max(waits) <= (6 if fresh else 10)


@pytest.mark.slow
def test_two_hundred_that_all_hear_bye_within_a_second_come_back_within_the_budget():
    accounts = 200

    async def main():
        loop = asyncio.get_running_loop()
        async with GmailEmulator() as server, TokenCache(clock=loop.clock) as tokens:
            settings = replace(server.settings, budget=Budget())
            clients, people = [], [server.add_account(f"user{number}@gmail.com") for number in range(accounts)]
            for person in people:
                client = Gmail(person.address, person.credentials(), tokens=tokens, settings=settings)
                await client.__aenter__()
                clients.append(client)
            inboxes = [client.mailbox("INBOX") for client in clients]
            await asyncio.gather(*(inbox.__aenter__() for inbox in inboxes))
            watches = [inbox.watch() for inbox in inboxes]
            await asyncio.gather(*(watch.__aenter__() for watch in watches))
            told = [asyncio.create_task(anext(watch)) for watch in watches]
            await asyncio.sleep(10)
            first, refreshed = len(server.ledger.connections), len(server.ledger.refreshes())
            said = loop.time()
            for person in people:
                person.expire_tokens()
                person.expire_sessions()
                await asyncio.sleep(1 / accounts)
            for person in people:
                person.deliver(b"Subject: news\r\n\r\n")
            await asyncio.gather(*told)
            back = loop.time() - said
            logins = sorted(
                one.at - said - server.hub.wall() + loop.time() for one in server.ledger.connections[first:] if one.protocol == "imap"
            )
            refreshes = [answer.address for answer in server.ledger.refreshes()[refreshed:]]
            for client in clients:
                await client.aclose()
        return back, logins, refreshes

    back, logins, refreshes = run_virtual(main())
    busiest = max(sum(start <= at < start + 1.0 for at in logins) for start in logins)
    print(f"{accounts} lost within a second: all back after {back:.1f} s, {busiest} openings in the busiest second")
    assert back <= 30
    assert busiest <= 20
    assert len(logins) == accounts
    assert sorted(refreshes) == sorted(f"user{number}@gmail.com" for number in range(accounts)), "one refresh each"
