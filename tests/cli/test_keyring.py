"""Accounts whose consent and tokens are in the machine's keyring: nothing secret is in a file."""

import functools
import sys

import keyring
import pytest
from keyring.backends import fail

from aiogmail import oauth
from tests.oauth.stores.test_keyring import Fake

from .conftest import ADDRESS
from .test_commands import consent, letter

pytestmark = pytest.mark.slow


@pytest.fixture
def ring(shell, monkeypatch):
    """The keyring, after a login that keeps its secrets there."""
    fake, before = Fake(), keyring.get_keyring()
    keyring.set_keyring(fake)
    shell("accounts", "--forget", ADDRESS)
    monkeypatch.setattr("aiogmail.cli.accounts.login", functools.partial(oauth.login, open_browser=consent))
    assert "let in" in shell("login", ADDRESS, "--keyring").stderr
    yield fake
    keyring.set_keyring(before)


def test_a_keyring_account_works_and_leaves_no_secret_in_a_file(shell, ring):
    assert shell("accounts").stdout.split("\t")[2] == "keyring"
    shell.account.deliver(letter("kept safe"))
    assert [one["subject"] for one in shell.json("search")] == ["kept safe"]
    kept = " ".join(ring.passwords.values())
    assert "refresh_token" in kept
    assert "ya29." in kept, "the access token too"
    files = [path for path in (shell.home / "config").rglob("*") if path.is_file()]
    assert files
    assert not any("refresh_token" in path.read_text() or "ya29." in path.read_text() for path in files)


def test_moving_into_the_keyring_leaves_no_secret_in_a_file_and_the_other_way_round(shell, ring):
    def in_files():
        return [path.name for path in (shell.home / "config").rglob("*") if path.is_file() and 'refresh_token":' in path.read_text()]

    shell("login", ADDRESS)
    shell("labels")
    assert sorted(in_files()) == [f"{ADDRESS}.json", "tokens.json"]
    assert "refresh_token" not in " ".join(ring.passwords.values())
    shell("login", ADDRESS, "--keyring")
    shell("labels")
    assert in_files() == []
    assert "refresh_token" in " ".join(ring.passwords.values())


def test_a_keyring_account_that_is_forgotten_leaves_nothing(shell, ring):
    shell("labels")
    shell("accounts", "--forget", ADDRESS)
    assert "refresh_token" not in " ".join(ring.passwords.values())
    assert "ya29." not in " ".join(ring.passwords.values())
    assert "no account yet" in shell("accounts").stderr


def test_a_consent_that_is_no_longer_in_the_keyring_is_told_and_can_be_forgotten(shell, ring):
    ring.passwords.clear()
    assert f"not in the keyring any more; run: aiogmail login {ADDRESS}" in shell("labels", code=2).stderr
    told = shell("accounts", "--forget", ADDRESS).stderr
    assert "could not be given back" in told
    assert f"{ADDRESS}: forgotten" in told


def test_a_keyring_that_does_not_work_is_told_before_anybody_consents(shell, monkeypatch):
    def nobody(*_, **__):
        raise AssertionError("asked for consent")

    monkeypatch.setattr("aiogmail.cli.accounts.login", nobody)
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    try:
        told = shell("login", ADDRESS, "--keyring", code=2).stderr
    finally:
        keyring.set_keyring(before)
    assert "log in without --keyring" in told
    assert len(told.splitlines()) == 1


def test_without_the_keyring_library_the_command_says_how_to_install_it(shell, ring, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install 'aiogmail[keyring]'" in shell("labels", code=2).stderr
