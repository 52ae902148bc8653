"""How are accounts let in, listed and forgotten?"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from aiogmail.client import Gmail
from aiogmail.errors import ConfigurationError, LoginRequired, TokenEndpointError, TokenRefused
from aiogmail.oauth import OAuthClient, TokenCache, check_address, login, revoke
from aiogmail.oauth.credentials import identity_of, key_of

from .config import Account, Servers
from .desk import Desk

__all__ = ["forget", "let_in", "list_accounts"]

_NO_CLIENT = (
    "client-secrets: which OAuth client? Make one of the type 'Desktop app' at https://console.cloud.google.com/apis/credentials, "
    "download its JSON, and name it with --client-secrets FILE; it is remembered"
)


def _client(desk: Desk, servers: Servers, given: Path | None) -> OAuthClient:
    remembered = desk.accounts.folder / "client_secrets.json"
    if given is not None:
        client = OAuthClient.from_client_secrets_file(given)
        desk.accounts.remember(remembered, given)
        return client
    if servers.client is not None:
        return servers.client
    if not remembered.exists():
        raise ConfigurationError(_NO_CLIENT)
    return OAuthClient.from_client_secrets_file(remembered)


async def let_in(desk: Desk, address: str, *, client_secrets: Path | None, browser: bool, keyring: bool) -> None:
    """Let a person consent, try the token on the account, and only then remember both.

    Raises:
        LoginRequired: the consent was given by another account.
        ConfigurationError: there is no OAuth client, or no place to remember the account.
        GmailError: what :func:`aiogmail.login` and the first connection raise.
    """
    address = check_address(address).lower()
    servers = desk.servers()
    desk.accounts.check(keyring=keyring)
    client = _client(desk, servers, client_secrets)
    credentials = await login(client, address=address, browser=browser, show=desk.say)
    async with TokenCache() as tokens, Gmail(address, credentials, tokens=tokens, settings=servers.settings) as gmail:
        try:
            async with gmail.mailbox("INBOX", readonly=True) as inbox:
                messages = inbox.state.exists
        except TokenRefused:
            raise LoginRequired(f"consent was given, but not by {address}: log in again, and choose that account on the page") from None
    before = next((one for one in desk.accounts.all() if one.address == address and one.keyring is not keyring), None)
    desk.accounts.add(Account(address, keyring, servers.path), credentials)
    if before is not None:
        await _leave_no_copy(desk, before)
    desk.say(f"{address}: let in; {messages} messages in INBOX", "green")


async def _leave_no_copy(desk: Desk, before: Account) -> None:
    """Whoever chooses the keyring wants no secret left in a file, and the other way round."""
    with suppress(ConfigurationError):  # what cannot be found or opened any more
        credentials = desk.accounts.credentials(before)
        await desk.accounts.store(before).delete(key_of(identity_of(before.address, credentials)))
        desk.accounts.drop(before)


def list_accounts(desk: Desk, *, as_json: bool) -> None:
    """Which accounts there are."""
    default = desk.accounts.default()
    rows = []
    for account in desk.accounts.all():
        is_default = default is not None and account.address == default.address
        where = "keyring" if account.keyring else "file"
        servers = str(account.settings) if account.settings is not None else "Gmail"
        if as_json:
            desk.give_json({"address": account.address, "default": is_default, "kept_in": where, "servers": servers})
        rows.append((account.address, "default" if is_default else "", where, servers))
    if not as_json:
        desk.give_table(("account", "", "kept in", "servers"), rows)
    if not rows:
        desk.say("no account yet; run: aiogmail login ADDRESS")


async def forget(desk: Desk, account: Account) -> None:
    """Give the consent back at the server, as far as it can be reached, and forget the account."""
    servers = desk.servers(account)
    try:
        credentials = desk.accounts.credentials(account)
        await revoke(credentials, address=account.address, store=desk.accounts.store(account), revoke_uri=servers.revoke_uri)
    except (ConfigurationError, TokenEndpointError) as error:
        desk.say(f"the consent could not be given back ({error}); do it at https://myaccount.google.com/permissions", "yellow")
    desk.accounts.remove(account)
    desk.say(f"{account.address}: forgotten")
