"""How does a developer get a Gmail of their own? ``python -m aiogmail.testing``, or ``aiogmail emulator``."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .behaviour import Behaviour
from .emulator import GmailEmulator
from .oauth import CLIENT_ID, CLIENT_SECRET
from .sample import fill

__all__ = ["main", "serve"]

_SERVERS = ("imap", "smtp", "submission", "pop3", "http", "https")


async def serve(
    address: str = "me@gmail.com",
    *,
    behaviour: Behaviour | None = None,
    ports: dict[str, int] | None = None,
    copies: int = 1,
    folder: Path | None = None,
    announce: Callable[[str], None] = print,
    stop: asyncio.Event | None = None,
) -> None:
    """Run an emulator with a sample mailbox until it is cancelled, or ``stop`` is set.

    Args:
        address: whose mailbox it is.
        behaviour: switches.
        ports: server name → port, see :class:`GmailEmulator`.
        copies: how many times the sample of a dozen messages is delivered.
        folder: where ``ca.pem``, ``token.json``, ``client_secrets.json`` and ``settings.json`` (for ``aiogmail --settings``) are written; the default is a temporary folder, removed at the end.
        announce: is given each line that says how to connect.
        stop: ends it.
    """
    with tempfile.TemporaryDirectory(prefix="aiogmail-emulator-") as temporary:
        place = Path(temporary) if folder is None else folder
        async with GmailEmulator(behaviour=behaviour, ports=ports) as emulator:
            account = emulator.add_account(address, app_password="emulatorpassword")  # noqa: S106  everybody's
            count = fill(account, copies)
            _write(place, emulator, account.address)
            for line in _lines(emulator, account.address, account.access_token(86_400), count, place):
                announce(line)
            await (asyncio.Event() if stop is None else stop).wait()


def _write(place: Path, emulator: GmailEmulator, address: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / "ca.pem").write_text(emulator.ca_pem, encoding="ascii")
    grant = emulator.hub.tokens.grant(address, CLIENT_ID)
    token = {
        "type": "authorized_user",
        "account": address,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": grant.refresh_token,
        "token_uri": emulator.token_uri,
        "scopes": [grant.scope],
    }
    client = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "auth_uri": emulator.url("/o/oauth2/v2/auth"),
        "token_uri": emulator.token_uri,
    }
    settings = {
        **{name: {"host": emulator.host, "port": emulator.port(name)} for name in ("imap", "smtp", "pop3")},
        "ca": "ca.pem",
        "client_secrets": "client_secrets.json",
        "revoke_uri": emulator.url("/revoke"),
    }
    for name, value in (("token", token), ("client_secrets", {"installed": client}), ("settings", settings)):
        path = place / f"{name}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(value, indent=2), encoding="ascii")


def _lines(emulator: GmailEmulator, address: str, token: str, count: int, place: Path) -> list[str]:
    host = emulator.host
    return [
        f"A Gmail for development: {address}, {count} messages. Ctrl-C ends it and forgets everything.",
        f"  IMAP   {host}:{emulator.port('imap')}  TLS",
        f"  SMTP   {host}:{emulator.port('smtp')}  TLS, or {host}:{emulator.port('submission')} STARTTLS",
        f"  POP3   {host}:{emulator.port('pop3')}  TLS",
        f"  OAuth  {emulator.token_uri}  ({emulator.url('/o/oauth2/v2/auth')} for consent)",
        f"  CA     {place / 'ca.pem'}",
        f"  token  {place / 'token.json'}  (a refresh token, in Google's own format)",
        f"  aiogmail --settings {shlex.quote(str(place / 'settings.json'))} login {address}",
        f"  an access token for a day: {token}",
        "  app password (LOGIN, PLAIN): emulatorpassword",
        f"  curl --cacert {shlex.quote(str(place / 'ca.pem'))} --oauth2-bearer TOKEN -u {address}: imaps://{host}:{emulator.port('imap')}/INBOX",
    ]


def _copies(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"expected seconds, more than 0, got {text!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="aiogmail emulator", description="A local Gmail with a sample mailbox.")
    parser.add_argument("--address", default="me@gmail.com")
    parser.add_argument("--copies", type=_copies, default=1, help="how often the dozen sample messages are delivered")
    parser.add_argument("--token-lifetime", type=_seconds, default=3599, help="seconds; short ones show sessions that expire")
    parser.add_argument("--folder", type=Path, default=None, help="where ca.pem, token.json and settings.json are written")
    for name in _SERVERS:
        parser.add_argument(f"--{name}-port", type=int, default=0)
    options = parser.parse_args(arguments)
    wanted = {name: getattr(options, f"{name}_port") for name in _SERVERS}
    ports = {name: port for name, port in wanted.items() if port}
    behaviour = Behaviour(token_lifetime=options.token_lifetime)

    def announce(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    async def run() -> None:
        stop = asyncio.Event()
        with suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it there
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await serve(
            options.address, behaviour=behaviour, ports=ports, copies=options.copies, folder=options.folder, announce=announce, stop=stop
        )

    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(run())
    except (OSError, OverflowError, ValueError) as error:  # a port that is taken, a folder that cannot be written, no address
        sys.stderr.write(f"aiogmail emulator: {error}\n")
        return 1
    return 0
