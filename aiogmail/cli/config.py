"""Where does the command line keep what it knows? In the platform's folder for settings: accounts, consents and access tokens.

::

    accounts.json           which accounts there are, which one is meant when none is named
    credentials/ADDRESS     an account's consent, as Google's own ``authorized_user`` file (0600), unless it is in the keyring
    tokens/tokens.json      access tokens, shared by all commands that run at once (aiogmail.FileTokenStore)
"""

from __future__ import annotations

import errno
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from aiogmail.errors import ConfigurationError
from aiogmail.oauth import FileTokenStore, KeyringTokenStore, OAuthClient, TokenStore, UserCredentials
from aiogmail.oauth.stores.file import write_private
from aiogmail.settings import Endpoint, Settings

__all__ = ["Account", "Accounts", "Servers"]

_VERSION = 1
_NONE = object()
_SERVICE = "aiogmail credentials"


@dataclass(frozen=True, slots=True)
class Servers:
    """Which servers to talk to: Gmail's, or those of a settings file.

    The file is JSON. Members, all optional: ``imap``, ``smtp``, ``pop3`` (each ``{"host", "port", "security"}``), ``ca`` (a PEM file of a private
    certificate authority), ``client_secrets`` (an OAuth client, as Google's console offers it for download), ``revoke_uri``. Paths in it are relative to it.

    Attributes:
        settings: for the clients.
        ca: what verifies the servers, if not what this machine trusts.
        client: the OAuth client, if the file names one.
        revoke_uri: where consent is given back, if not at Google's.
        path: the file.
    """

    settings: Settings = field(default_factory=Settings)
    ca: ssl.SSLContext | None = None
    client: OAuthClient | None = None
    revoke_uri: str | None = None
    path: Path | None = None

    @classmethod
    def load(cls, path: Path | None) -> Servers:
        """What the file says; without one Gmail.

        Raises:
            ConfigurationError: it cannot be read, or holds what it must not.
        """
        if path is None:
            return cls()
        path = path.absolute()
        found = _read_json(path, "settings")
        unknown = set(found) - {"imap", "smtp", "pop3", "ca", "client_secrets", "revoke_uri"}
        if unknown:
            raise ConfigurationError(f"settings {path}: unknown members {', '.join(sorted(unknown))}")
        context = None
        if "ca" in found:
            try:
                context = ssl.create_default_context(cafile=path.parent / _text(path, found, "ca"))
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(f"settings {path}: ca: {error}") from None
        servers: dict[str, Any] = {name: _endpoint(path, name, found[name], context) for name in ("imap", "smtp", "pop3") if name in found}
        client = None
        if "client_secrets" in found:
            client = OAuthClient.from_client_secrets_file(path.parent / _text(path, found, "client_secrets"))
        revoke_uri = _text(path, found, "revoke_uri") if "revoke_uri" in found else None
        return cls(Settings(**servers), context, client, revoke_uri, path)


def _endpoint(path: Path, name: str, value: Any, context: ssl.SSLContext | None) -> Endpoint:
    if not isinstance(value, Mapping) or not set(value) <= {"host", "port", "security"} or "host" not in value:
        raise ConfigurationError(f"settings {path}: {name}: expected an object with host, port and perhaps security")
    default: Endpoint = getattr(Settings(), name)
    try:
        return replace(default, ssl_context=context, **dict(value))
    except ConfigurationError as error:
        raise ConfigurationError(f"settings {path}: {name}: {error}") from None


def _text(path: Path, found: Mapping[str, Any], name: str) -> str:
    value = found[name]
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"settings {path}: {name}: expected a text, got {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class Account:
    """An account that was logged in.

    Attributes:
        address: whose.
        keyring: whether its consent and its tokens are in the keyring.
        settings: the settings file it was logged in with; ``None``: Gmail.
    """

    address: str
    keyring: bool = False
    settings: Path | None = None


class Accounts:
    """The accounts in a folder.

    Args:
        folder: where; the default is ``$AIOGMAIL_HOME``, else the platform's folder for the settings of a program.
    """

    def __init__(self, folder: Path | None = None) -> None:
        home = os.environ.get("AIOGMAIL_HOME")
        self.folder = folder or (Path(home) if home else Path(typer.get_app_dir("aiogmail")))
        self._file = self.folder / "accounts.json"

    def all(self) -> tuple[Account, ...]:
        """The accounts, in the order in which they were added."""
        return tuple(self._load()[1].values())

    def default(self) -> Account | None:
        """The one that is meant when none is named: the one chosen, or the only one."""
        chosen, accounts = self._load()
        if chosen in accounts:
            return accounts[chosen]
        return next(iter(accounts.values())) if len(accounts) == 1 else None

    def choose(self, address: str | None) -> Account:
        """The account named, or the default.

        Raises:
            ConfigurationError: there is none, or it is not clear which.
        """
        accounts = self._load()[1]
        if address == "":
            raise ConfigurationError("account: expected an address, got none")
        if address is not None:
            if address.lower() not in accounts:
                raise ConfigurationError(f"account {address}: not logged in here; run: aiogmail login {address}")
            return accounts[address.lower()]
        account = self.default()
        if account is None:
            missing = "name one with --account" if accounts else "run: aiogmail login ADDRESS"
            raise ConfigurationError(f"account: {len(accounts)} are logged in; {missing}")
        return account

    def check(self, *, keyring: bool) -> None:
        """Whether an account can be remembered, before a person is asked to consent.

        Raises:
            ConfigurationError: its folder cannot be written, the list of accounts is damaged, or there is no keyring that works.
        """
        self._load()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise ConfigurationError(f"{self.folder}: cannot be written: {error.strerror}; AIOGMAIL_HOME names another folder") from None
        if keyring:
            _keyring().get_password(_SERVICE, "")

    # -- changing ----------------------------------------------------------------------------------------------------------

    def add(self, account: Account, credentials: UserCredentials) -> None:
        """Remember an account and its consent; it becomes the default if it is the first."""
        chosen, accounts = self._load()
        info = credentials.to_authorized_user_info()
        if account.keyring:
            _keyring().set_password(_SERVICE, account.address, json.dumps(info))
        else:
            self._write(self._credentials_file(account), info)  # 0600, in a folder of 0700
        accounts[account.address] = account
        self._save(chosen or account.address, accounts)

    def make_default(self, address: str) -> None:
        """This one is meant when none is named."""
        account = self.choose(address)
        self._save(account.address, self._load()[1])

    def remove(self, account: Account) -> None:
        """Forget an account and its consent."""
        chosen, accounts = self._load()
        self.drop(account)
        accounts.pop(account.address, None)
        self._save("" if chosen == account.address else chosen, accounts)

    def drop(self, account: Account) -> None:
        """Remove the consent from where this account has it."""
        if account.keyring:
            keyring = _keyring()
            if keyring.get_password(_SERVICE, account.address) is not None:
                keyring.delete_password(_SERVICE, account.address)
        else:
            self._credentials_file(account).unlink(missing_ok=True)

    def remember(self, path: Path, source: Path) -> None:
        """Keep a copy of a JSON file in the folder."""
        self._write(path, _read_json(source, "file"))

    # -- what an account is opened with --------------------------------------------------------------------------------------

    def credentials(self, account: Account) -> UserCredentials:
        """The account's consent.

        Raises:
            ConfigurationError: it is not there any more.
        """
        file = self._credentials_file(account)
        if not account.keyring and file.exists():
            return UserCredentials.from_authorized_user_file(file)
        found = _keyring().get_password(_SERVICE, account.address) if account.keyring else None
        if found is None:
            where = "in the keyring" if account.keyring else f"in {file}"
            raise ConfigurationError(
                f"account {account.address}: its consent is not {where} any more; run: aiogmail login {account.address}"
            )
        return UserCredentials.from_authorized_user_info(json.loads(found))

    def store(self, account: Account) -> TokenStore:
        """Where the account's access tokens are shared with other commands."""
        return KeyringTokenStore() if account.keyring else FileTokenStore(self.folder / "tokens" / "tokens.json")

    def _credentials_file(self, account: Account) -> Path:
        return self.folder / "credentials" / f"{account.address}.json"

    def _load(self) -> tuple[str, dict[str, Account]]:
        if not self._file.exists():
            return "", {}
        found = _read_json(self._file, "accounts", "; remove the file, then log in again: aiogmail login ADDRESS")
        if found.get("version") != _VERSION or not isinstance(found.get("accounts"), Mapping):
            raise ConfigurationError(f"accounts {self._file}: of another version; expected {_VERSION}")
        accounts = {}
        for address, one in found["accounts"].items():
            settings = one.get("settings") if isinstance(one, Mapping) else _NONE
            if not isinstance(settings, str | None):
                raise ConfigurationError(f"accounts {self._file}: {address}: damaged; remove the file, then: aiogmail login {address}")
            accounts[address] = Account(address, bool(one.get("keyring")), Path(settings) if settings else None)
        return str(found.get("default") or ""), accounts

    def _save(self, chosen: str, accounts: Mapping[str, Account]) -> None:
        listed = {
            one.address: {"keyring": one.keyring, "settings": str(one.settings) if one.settings else None} for one in accounts.values()
        }
        self._write(self._file, {"version": _VERSION, "default": chosen or None, "accounts": listed})

    def _write(self, path: Path, value: Mapping[str, Any]) -> None:
        """Whole or not at all, and for this user alone."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(path, json.dumps(value, indent=2).encode(), f".{os.getpid()}")
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None


def _read_json(path: Path, what: str, advice: str = "") -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{what} {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{what} {path}: not JSON: {error}{advice}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{what} {path}: expected a JSON object{advice}")
    return found


class _Keyring:
    """This machine's keyring.

    Raises, from its methods:
        ConfigurationError: it does not work, such as where nobody has unlocked it or there is none.
    """

    def __init__(self, backend: Any, failure: type[Exception]) -> None:
        self._backend = backend
        self._failure = failure

    def get_password(self, service: str, name: str) -> str | None:
        found: str | None = self._try("get_password", service, name)
        return found

    def set_password(self, service: str, name: str, secret: str) -> None:
        self._try("set_password", service, name, secret)

    def delete_password(self, service: str, name: str) -> None:
        self._try("delete_password", service, name)

    def _try(self, method: str, *arguments: str) -> Any:
        try:
            return getattr(self._backend, method)(*arguments)
        except self._failure as error:
            why = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"keyring: {why}; unlock or install one, or log in without --keyring")


def _keyring() -> _Keyring:
    try:
        keyring = import_module("keyring")
        errors = import_module("keyring.errors")
    except ImportError:
        raise ConfigurationError("keyring: not installed; run: pip install 'aiogmail[keyring]'") from None
    return _Keyring(keyring, errors.KeyringError)
