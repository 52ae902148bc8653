"""A person at a shell, with an account on an emulator."""

import json

import pytest
from typer.testing import CliRunner

from aiogmail.cli.app import app
from aiogmail.testing.background import BackgroundEmulator
from aiogmail.testing.oauth import CLIENT_ID, CLIENT_SECRET

ADDRESS = "me@gmail.com"


class Shell:
    """Runs commands as a person would, in this process."""

    def __init__(self, server, account, home):
        self.server, self.account, self.home = server, account, home
        self.env = {"AIOGMAIL_HOME": str(home / "config"), "AIOGMAIL_SETTINGS": str(home / "settings.json"), "NO_COLOR": "1"}

    def __call__(self, *words, code=0, stdin=None):
        result = CliRunner().invoke(app, list(words), env=self.env, input=stdin, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    def json(self, *words):
        return [json.loads(line) for line in self(*words, "--json").stdout.splitlines()]

    def write_settings(self):
        (self.home / "ca.pem").write_text(self.server.ca_pem)
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        client |= {"auth_uri": self.server.url("/o/oauth2/v2/auth"), "token_uri": self.server.token_uri}
        (self.home / "client_secrets.json").write_text(json.dumps({"installed": client}))
        ports = {name: {"host": "127.0.0.1", "port": self.server.port(name)} for name in ("imap", "smtp", "pop3")}
        more = {"ca": "ca.pem", "client_secrets": "client_secrets.json", "revoke_uri": self.server.url("/revoke")}
        (self.home / "settings.json").write_text(json.dumps(ports | more))

    def let_in(self):
        """As after a login."""
        config = self.home / "config"
        (config / "credentials").mkdir(parents=True, mode=0o700, exist_ok=True)
        info = self.account.credentials().to_authorized_user_info()
        (config / "credentials" / f"{ADDRESS}.json").write_text(json.dumps(info))
        (config / "credentials" / f"{ADDRESS}.json").chmod(0o600)
        accounts = {ADDRESS: {"keyring": False, "settings": None}}
        (config / "accounts.json").write_text(json.dumps({"version": 1, "default": ADDRESS, "accounts": accounts}))


@pytest.fixture
def shell(tmp_path):
    """Somebody who is logged in."""
    with BackgroundEmulator() as server:
        account = server.add_account(ADDRESS)
        made = Shell(server, account, tmp_path)
        made.write_settings()
        made.let_in()
        yield made
