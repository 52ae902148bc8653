import sys
import threading
from dataclasses import replace

import keyring.backend
import keyring.errors
import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.oauth import KeyringTokenStore, StoreUnavailable
from aiogmail.secret import Secret
from tests.oauth.harness import real

from .contract import CLAIMS, KEY, RECORD


class Fake(keyring.backend.KeyringBackend):
    """A keyring in memory, which remembers the threads it was called in."""

    priority = 1

    def __init__(self):
        self.passwords = {}
        self.threads = set()
        self.fail = None

    def get_password(self, service, username):
        self._called()
        return self.passwords.get((service, username))

    def set_password(self, service, username, password):
        self._called()
        self.passwords[service, username] = password

    def delete_password(self, service, username):
        del self.passwords[service, username]

    def _called(self):
        self.threads.add(threading.current_thread())
        if self.fail is not None:
            raise self.fail


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_keyring_store(claim):
    real(lambda: claim(KeyringTokenStore(backend=Fake())))


def test_the_chosen_keyring_is_used_where_none_is_named():
    fake, before = Fake(), keyring.get_keyring()
    keyring.set_keyring(fake)
    try:
        real(lambda: CLAIMS[0](KeyringTokenStore("my app")))
    finally:
        keyring.set_keyring(before)
    assert [service for service, _ in fake.passwords] == ["my app"]


def test_no_keyring_is_called_on_the_event_loops_thread():
    fake = Fake()
    real(lambda: CLAIMS[0](KeyringTokenStore(backend=fake)))
    assert threading.main_thread() not in fake.threads


def test_an_access_token_too_long_for_a_keyring_is_left_out_and_the_refresh_token_kept():
    async def main():
        fake = Fake()
        store = KeyringTokenStore(backend=fake)
        assert await store.save(KEY, replace(RECORD, access_token=Secret("x" * 2000)), replaces=0)
        assert await store.load(KEY) == replace(RECORD, access_token=None)
        assert all(len(password) <= 1200 for password in fake.passwords.values())

    real(main)


def test_a_damaged_record_counts_as_none_and_is_kept_under_another_name():
    async def main():
        fake = Fake()
        fake.passwords["aiogmail", KEY] = "1//precious"
        store = KeyringTokenStore(backend=fake)
        assert await store.load(KEY) is None
        assert fake.passwords["aiogmail", f"{KEY} (damaged)"] == "1//precious"
        assert await store.save(KEY, RECORD, replaces=0)
        assert await store.load(KEY) == RECORD

    real(main)


def test_a_keyring_that_keeps_nothing_is_found_out():
    class Null(Fake):
        def set_password(self, service, username, password):
            pass

    async def main():
        with pytest.raises(StoreUnavailable, match="does not give back"):
            await KeyringTokenStore(backend=Null()).save(KEY, RECORD, replaces=0)

    real(main)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (keyring.errors.NoKeyringError("none"), ConfigurationError, "no keyring; use FileTokenStore"),
        (keyring.errors.KeyringLocked("locked"), StoreUnavailable, "KeyringLocked: locked"),
        (RuntimeError("dbus"), StoreUnavailable, "RuntimeError: dbus"),
    ],
)
def test_what_a_keyring_raises_is_one_of_two_errors(error, kind, words):
    async def main():
        fake = Fake()
        fake.fail = error
        store = KeyringTokenStore(backend=fake)
        for use in (lambda: store.load(KEY), lambda: store.save(KEY, RECORD, replaces=0)):
            with pytest.raises(kind, match=words):
                await use()

    real(main)


def test_without_keyring_installed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aiogmail\[keyring\]'"):
        KeyringTokenStore()


@pytest.mark.parametrize("service", ["", None, 7])
def test_a_service_that_is_no_name_is_refused(service):
    with pytest.raises(ConfigurationError, match="service: expected a name"):
        KeyringTokenStore(service, backend=Fake())


def test_it_shows_no_secret():
    assert repr(KeyringTokenStore(backend=Fake())) == "KeyringTokenStore('aiogmail')"
