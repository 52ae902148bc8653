import json
import pickle
import stat
from datetime import UTC, datetime

import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.oauth import AppPassword, GoogleAuthCredentials, ServiceAccountCredentials, TokenProvider, UserCredentials
from aiogmail.oauth.credentials import identity_of
from aiogmail.secret import Secret

USER = {
    "type": "authorized_user",
    "client_id": "123.apps.googleusercontent.com",
    "client_secret": "GOCSPX-secret",
    "refresh_token": "1//refresh",
}
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"
SERVICE = {
    "type": "service_account",
    "project_id": "p",
    "private_key_id": "kid1",
    "private_key": KEY,
    "client_email": "robot@p.iam.gserviceaccount.com",
    "client_id": "1",
    "token_uri": "https://oauth2.googleapis.com/token",
}


def test_googles_authorized_user_file_is_read(tmp_path):
    path = tmp_path / "token.json"
    path.write_text(json.dumps({**USER, "token": "ya29.old", "expiry": "2026-01-01T00:00:00Z", "scopes": ["https://mail.google.com/"]}))
    credentials = UserCredentials.from_authorized_user_file(path)
    assert credentials.client_id == USER["client_id"]
    assert credentials.client_secret == Secret("GOCSPX-secret")
    assert credentials.refresh_token == Secret("1//refresh")
    assert credentials.token_uri == "https://oauth2.googleapis.com/token"
    assert credentials.scopes == ("https://mail.google.com/",)
    assert credentials == UserCredentials.from_authorized_user_info(USER)
    assert credentials == UserCredentials(USER["client_id"], Secret("GOCSPX-secret"), Secret("1//refresh"))


def test_scopes_are_read_as_a_list_a_string_or_not_at_all():
    def scopes(**more):
        return UserCredentials.from_authorized_user_info({**USER, **more}).scopes

    assert scopes() == scopes(scopes=None) == ("https://mail.google.com/",)
    assert scopes(scopes=["a", "b"]) == scopes(scopes="a b") == scopes(scope="a b") == ("a", "b")
    for bad in (["a b"], [1], 7):
        with pytest.raises(ConfigurationError, match="scopes: expected"):
            scopes(scopes=bad)
    with pytest.raises(ConfigurationError, match="scopes: expected"):
        UserCredentials("c", "s", "r", scopes="  ")


def test_a_file_written_is_private_and_reads_back(tmp_path):
    path = tmp_path / "token.json"
    credentials = UserCredentials("c", None, "1//r", token_uri="http://localhost:1/token", scopes="mail")
    credentials.to_authorized_user_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert UserCredentials.from_authorized_user_file(path) == credentials
    assert [entry.name for entry in tmp_path.iterdir()] == ["token.json"]
    with pytest.raises(ConfigurationError, match=r"path: cannot write .*nowhere"):
        credentials.to_authorized_user_file(tmp_path / "nowhere" / "token.json")


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b" " * 300_000 + b"{}"])
@pytest.mark.parametrize("read", [UserCredentials.from_authorized_user_file, ServiceAccountCredentials.from_service_account_file])
def test_a_token_file_that_is_not_json_is_refused_by_argument_and_file(tmp_path, content, read):
    path = tmp_path / "token.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="path: expected a JSON object in .*token.json"):
        read(path)


@pytest.mark.parametrize("read", [UserCredentials.from_authorized_user_file, ServiceAccountCredentials.from_service_account_file])
def test_a_file_that_cannot_be_read_is_told_with_the_systems_words(tmp_path, read):
    with pytest.raises(ConfigurationError, match=r"path: cannot read .*missing.json.*No such file"):
        read(tmp_path / "missing.json")
    with pytest.raises(ConfigurationError, match="path: cannot read"):
        read(tmp_path)
    with pytest.raises(ConfigurationError, match="path: cannot read"):
        read(None)
    with pytest.raises(ConfigurationError, match="path: cannot read"):
        read("a\0b")


@pytest.mark.parametrize("member", ["client_id", "refresh_token"])
@pytest.mark.parametrize("value", [None, "", ...])
def test_a_missing_member_is_named_with_the_file(tmp_path, member, value):
    info = {key: item for key, item in {**USER, member: value}.items() if item is not ...}
    path = tmp_path / "token.json"
    path.write_text(json.dumps(info))
    with pytest.raises(ConfigurationError, match=rf"path .*token.json.*'{member}' is missing"):
        UserCredentials.from_authorized_user_file(path)
    with pytest.raises(ConfigurationError, match=rf"info: '{member}' is missing"):
        UserCredentials.from_authorized_user_info(info)


@pytest.mark.parametrize("member", ["client_email", "private_key"])
def test_a_key_file_of_another_kind_names_what_is_missing(member):
    with pytest.raises(ConfigurationError, match=f"info: '{member}' is missing; is it a file of another kind"):
        ServiceAccountCredentials.from_service_account_info({key: item for key, item in SERVICE.items() if key != member})


def test_what_is_no_mapping_is_refused():
    with pytest.raises(ConfigurationError, match="info: expected a mapping, got str"):
        UserCredentials.from_authorized_user_info("token.json")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("", "s", "r"), "client_id"),
        (("a\r\nb", "s", "r"), "client_id"),
        ((7, "s", "r"), "client_id"),
        (("c", "", "r"), "client_secret"),
        (("c", "a b", "r"), "client_secret"),
        (("c", 7, "r"), "client_secret"),
        (("c", "s", ""), "refresh_token"),
        (("c", "s", None), "refresh_token"),
        (("c", "s", "a\x01b"), "refresh_token"),
        (("c", "s", Secret("a b")), "refresh_token"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_name_and_not_shown(arguments, name):
    with pytest.raises(ConfigurationError, match=f"^{name}: expected") as caught:
        UserCredentials(*arguments)
    assert "a b" not in str(caught.value)
    assert "\x01" not in str(caught.value)


@pytest.mark.parametrize(
    "token_uri",
    [
        "https://oauth2.googleapis.com/token",
        "https://h:8443/t?x=1",
        "http://localhost:1/t",
        "http://127.0.0.1:80/t",
        "http://[::1]:1/t",
        "https://[2001:db8::1]/t",
    ],
)
def test_secrets_go_to_https_or_to_a_loopback_that_was_named(token_uri):
    assert UserCredentials("c", "s", "r", token_uri=token_uri).token_uri == token_uri


@pytest.mark.parametrize(
    "token_uri",
    [
        "http://oauth2.googleapis.com/token", "http://127.0.0.1.evil.example/t", "http://localhost.evil.example/t", "ftp://h/t", "h/t", "",
        "https://", "https:///t", "https://user:pw@h/t", "https://h/t#f", "https://h:port/t", "https://h:99999/t", "https://h/\r\nX: y",
        "https://h/ t", "https://[::1/t", "file:///etc/passwd", None, 7, "http://10.0.0.1/t", "HTTP://h/t", "https://h\u2025/t",
    ],
)  # fmt: skip
def test_a01c_secrets_go_nowhere_else(token_uri):
    for make in (
        lambda: UserCredentials("c", "s", "r", token_uri=token_uri),
        lambda: ServiceAccountCredentials("robot@x", KEY, token_uri=token_uri),
    ):
        with pytest.raises(ConfigurationError, match="^token_uri: ") as caught:
            make()
        assert "pw" not in str(caught.value)


def test_a_service_account_file_is_read(tmp_path):
    path = tmp_path / "key.json"
    path.write_text(json.dumps(SERVICE))
    credentials = ServiceAccountCredentials.from_service_account_file(path, subject="me@example.org", scopes="a b")
    assert credentials.client_email == "robot@p.iam.gserviceaccount.com"
    assert credentials.private_key.reveal() == KEY
    assert (credentials.private_key_id, credentials.subject, credentials.scopes) == ("kid1", "me@example.org", ("a", "b"))
    again = ServiceAccountCredentials.from_service_account_info({**SERVICE, "private_key_id": None}, subject="me@example.org")
    assert (again.private_key_id, again.scopes) == ("", ("https://mail.google.com/",))


@pytest.mark.parametrize("key", ["", "MIIE", None, 7])
def test_a_private_key_that_is_none_is_refused(key):
    with pytest.raises(ConfigurationError, match="private_key: expected"):
        ServiceAccountCredentials("robot@x", key)


def test_a_subject_that_is_no_address_is_refused():
    with pytest.raises(ConfigurationError, match="address: expected"):
        ServiceAccountCredentials("robot@x", Secret(KEY), subject="nobody")


def test_an_app_password_is_taken_as_google_shows_it():
    assert AppPassword("abcd efgh ijkl mnop").password.reveal() == "abcdefghijklmnop"
    assert AppPassword(Secret("abcdefghijklmnop")).password.reveal() == "abcdefghijklmnop"
    assert AppPassword("my own pass phrase").password.reveal() == "my own pass phrase"
    assert AppPassword("abcd efgh ijkl mno1").password.reveal() == "abcd efgh ijkl mno1"
    for bad in ("", "  ", "a\0b", "a\nb", None, 7):
        with pytest.raises(ConfigurationError, match="password: expected"):
            AppPassword(bad)


def test_a_provider_needs_a_function_and_google_auth_an_object_that_refreshes():
    with pytest.raises(ConfigurationError, match="fetch: expected an async function"):
        TokenProvider("ya29")
    with pytest.raises(ConfigurationError, match="credentials: expected google-auth credentials, got str"):
        GoogleAuthCredentials("ya29")


async def fetch():
    return "t", datetime.now(UTC)


class Google:
    def refresh(self, request):
        pass


def test_an_identity_is_address_client_and_scopes_and_no_secret():
    user = UserCredentials("c", "client-secret", "1//r", scopes="b a")
    assert identity_of("Me@Gmail.com", user) == ("user", "me@gmail.com", "c", "a b")
    assert identity_of("me@gmail.com", UserCredentials("c", "other", "1//other", scopes="a b")) == identity_of("me@gmail.com", user)
    service = ServiceAccountCredentials("robot@x", KEY, subject="me@gmail.com", scopes="a")
    assert identity_of("me@gmail.com", service) == ("service", "me@gmail.com", "robot@x", "me@gmail.com", "a")
    assert identity_of("me@gmail.com", TokenProvider(fetch)) == ("provider", "me@gmail.com", fetch)
    google = Google()
    assert identity_of("me@gmail.com", GoogleAuthCredentials(google)) == identity_of("me@gmail.com", GoogleAuthCredentials(google))
    with pytest.raises(ConfigurationError, match="an app password needs no token"):
        identity_of("me@gmail.com", AppPassword("x"))
    with pytest.raises(ConfigurationError, match="credentials: expected UserCredentials or another kind of aiogmail's, got str"):
        identity_of("me@gmail.com", "ya29")


def test_credentials_are_frozen_show_no_secret_and_are_not_pickled():
    kinds = [UserCredentials("c", "SECRET", "SECRET"), ServiceAccountCredentials("robot@x", KEY), AppPassword("SECRET")]
    for credentials in kinds:
        assert "SECRET" not in repr(credentials)
        assert "MIIE" not in repr(credentials)
        with pytest.raises((AttributeError, TypeError)):
            credentials.client_id = "x"
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(credentials)
    assert "SECRET" not in repr(GoogleAuthCredentials(Google(), request="SECRET"))
