import json

import pytest

from aiogmail.errors import AccessDenied, ConfigurationError, LoginRequired, TokenEndpointError
from aiogmail.oauth.failure import Answer, read_failure, scrub
from aiogmail.secret import Secret

WHERE = "https://oauth2.googleapis.com/token"


def failure(status, error=None, description=None, *, headers=None, now=None, secrets=(), **more):
    data = {key: value for key, value in {"error": error, "error_description": description, **more}.items() if value is not None}
    return read_failure(Answer(status, json.dumps(data).encode(), **(headers or {})), WHERE, secrets, now=now)


# Every refusal that Google is recorded to give.
TABLE = [
    (400, "invalid_grant", "Token has been expired or revoked.", LoginRequired, "revoked"),
    (400, "invalid_grant", "Bad Request", LoginRequired, "7 days"),
    (400, "invalid_grant", "Malformed auth code.", LoginRequired, "cut or changed"),
    (400, "invalid_grant", "Invalid JWT Signature.", ConfigurationError, "key"),
    (
        400,
        "invalid_grant",
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
        ConfigurationError,
        "clock",
    ),
    (400, "invalid_grant", "Invalid email or User ID", ConfigurationError, "subject"),
    (400, "invalid_grant", "Not a valid email", ConfigurationError, "subject"),
    (400, "invalid_grant", "The account has been deleted", AccessDenied, "does not exist"),
    (400, "invalid_grant", "reauth related error (invalid_rapt)", LoginRequired, "session control"),
    (401, "invalid_client", "The OAuth client was not found.", ConfigurationError, "client is unknown"),
    (401, "invalid_client", "Unauthorized", ConfigurationError, "client_secret"),
    (
        401,
        "unauthorized_client",
        "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
        ConfigurationError,
        "delegation",
    ),
    (403, "access_denied", "Account restricted", AccessDenied, "administrator"),
    (400, "invalid_request", "Invalid impersonation prn email address.", ConfigurationError, "subject"),
    (400, "invalid_request", "Missing required parameter: refresh_token", ConfigurationError, "malformed"),
    (400, "admin_policy_enforced", None, LoginRequired, "administrator"),
    (400, "rapt_required", None, LoginRequired, "session control"),
    (400, "invalid_scope", "Some requested scopes were invalid.", AccessDenied, "scopes"),
    (403, "org_internal", None, AccessDenied, "organisation"),
    (401, "deleted_client", "The OAuth client was deleted.", ConfigurationError, "deleted"),
    (401, "disabled_client", "The OAuth client was disabled.", ConfigurationError, "disabled"),
    (400, "unsupported_grant_type", "Invalid grant_type", ConfigurationError, "token_uri"),
    (400, "redirect_uri_mismatch", None, ConfigurationError, "Desktop app"),
    (400, "internal_failure", "Backend Error", TokenEndpointError, "tried again"),
    (400, "server_error", None, TokenEndpointError, "tried again"),
    (400, "temporarily_unavailable", None, TokenEndpointError, "tried again"),
    (400, "slow_down", None, TokenEndpointError, "tried again"),
    (400, "rate_limit_exceeded", None, TokenEndpointError, "tried again"),
    (418, "teapot", "short and stout", TokenEndpointError, "no token"),
]


@pytest.mark.parametrize(("status", "error", "description", "kind", "advice"), TABLE)
def test_each_refusal_is_one_error_with_the_servers_words_and_advice(status, error, description, kind, advice):
    told = failure(status, error, description)
    assert type(told) is kind
    assert advice in str(told)
    assert f"HTTP {status}" in str(told)
    assert WHERE in str(told)
    assert error in str(told)
    assert (description or "") in str(told)
    assert told.retryable is (kind is TokenEndpointError)
    assert told.connection_lost is False  # a session that is open stays open


def test_login_required_names_the_likely_reasons():
    words = str(failure(400, "invalid_grant", "Token has been expired or revoked."))
    for reason in ("revoked", "password", "7 days", "administrator", "100 tokens", "6 months", "Log in again"):
        assert reason in words


def test_the_subtype_alone_says_that_a_person_must_sign_in_again():
    assert "session control" in str(failure(400, "invalid_grant", "Bad Request", error_subtype="invalid_rapt"))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("error", [None, "invalid_grant"])
def test_a_status_that_passes_is_retryable_whatever_the_body_says(status, error):
    assert type(failure(status, error)) is TokenEndpointError


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("120", "", 120.0),
        (" 7 ", "", 7.0),
        ("0", "", 0.0),
        ("999999999999", "", 3600.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "", None),
        ("", "", None),
        ("-5", "", None),
        ("soon", "soon", None),
        ("Wed, 99 Oct 99999 07:28:30 GMT", "x", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(retry_after, date, seconds):
    assert failure(429, "x", headers={"retry_after": retry_after, "date": date}).retry_after == seconds


def test_a_wrong_clock_is_told_with_its_distance():
    words = "Check your iat and exp values"
    date = {"date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    server = 1792567680.0
    assert "300 s ahead of" in str(failure(400, "invalid_grant", words, headers=date, now=server + 300))
    assert "300 s behind" in str(failure(400, "invalid_grant", words, headers=date, now=server - 300))
    assert "the server's" not in str(failure(400, "invalid_grant", words, headers=date, now=server + 1))
    assert "the server's" not in str(failure(400, "invalid_grant", words, now=server))


def test_a_redirect_is_told_and_not_followed():
    told = failure(302, headers={"location": "https://evil.example/token"})
    assert type(told) is TokenEndpointError
    assert "https://evil.example/token" in str(told)
    assert "not followed" in str(told)
    assert "redirect," in str(failure(307))


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b"[]", b"\xff", b"{", b'{"message": "rate limited"}', b'{"error": null}', b'{"error": [1]}']
)
def test_a01a_a_page_of_a_gateway_is_a_retryable_error(body):
    told = read_failure(Answer(400, body), WHERE)
    assert type(told) is TokenEndpointError
    assert "no token" in str(told)


def test_the_nested_form_of_other_google_apis_is_read():
    told = read_failure(Answer(403, b'{"error": {"code": 403, "status": "ACCESS_DENIED", "message": "Not for you"}}'), WHERE)
    assert type(told) is AccessDenied
    assert "Not for you" in str(told)


def test_an_endpoint_that_echoes_secrets_or_control_characters_does_not_get_them_into_our_words():
    secret = Secret("1//precious")
    told = failure(400, "invalid_grant", "no such token 1//precious\r\n\x1b[31mred" + "x" * 5000, secrets=(secret, Secret("")))
    assert "precious" not in str(told)
    assert "\x1b" not in str(told)
    assert "\n" not in str(told)
    assert len(str(told)) < 1500
    assert scrub("a 1//precious b", (secret,)) == "a … b"
    assert scrub("ya29.a0AfB_byC-x1 1//0gLongEnough GOCSPX-abc_def-ghi 4/0AX4XfWh_abc 4/5 of 1//2") == "… … … … 4/5 of 1//2"


def test_the_body_is_never_in_the_repr():
    assert "precious" not in repr(Answer(200, b"precious"))
