import base64
import hashlib
import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from aiogmail.testing import Fault
from aiogmail.testing.oauth import CLIENT_ID, CLIENT_SECRET
from tests.testing.support import ME, Wire, on_server

CLIENT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
REDIRECT = "http://127.0.0.1:5000/"


async def http(server, method, path, form=None, headers="", name="http", raw=None):
    """Status, headers and body (parsed where it is JSON)."""
    async with Wire(server, name) as wire:
        body = raw if raw is not None else urlencode(form or {}).encode()
        kind = "" if "Content-Type" in headers else "Content-Type: application/x-www-form-urlencoded\r\n"
        wire.send(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\n{kind}{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        head, _, text = (await wire.rest()).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    found = dict(line.split(": ", 1) for line in lines[1:])
    return (
        int(lines[0].split()[1]),
        found,
        json.loads(text) if found["Content-Type"].startswith("application/json") and text else text.decode(),
    )


async def token(server, **form):
    status, _, body = await http(server, "POST", "/token", {**CLIENT, **form})
    return status, body


def refresh_token(server):
    return server.hub.tokens.grant(ME, CLIENT_ID).refresh_token


@on_server()
async def test_a_refresh_answers_as_google_does(server, me):
    status, headers, body = await http(
        server, "POST", "/token", {**CLIENT, "grant_type": "refresh_token", "refresh_token": refresh_token(server)}
    )
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert "no-store" in headers["Cache-Control"]
    assert body.pop("access_token").startswith("ya29.")
    assert body == {"expires_in": 3599, "scope": "https://mail.google.com/", "token_type": "Bearer"}
    assert [(answer.grant_type, answer.address, answer.status, answer.error) for answer in me.ledger.tokens] == [
        ("refresh_token", ME, 200, "")
    ]
    assert len(server.ledger.refreshes()) == 1


@on_server()
async def test_errors_of_a_refresh(server, me):
    good = refresh_token(server)
    for form, expected in (
        ({"client_id": "x"}, (401, "invalid_client", "The OAuth client was not found.")),
        ({"client_secret": "x"}, (401, "invalid_client", "Unauthorized")),
        ({"refresh_token": "x"}, (400, "invalid_grant", "Bad Request")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", "Invalid grant_type: password")),
        ({"scope": "https://mail.google.com/ other"}, (400, "invalid_scope", "Some requested scopes were invalid.")),
    ):
        status, body = await token(server, **{"grant_type": "refresh_token", "refresh_token": good, **form})
        assert (status, body["error"], body["error_description"]) == expected
    me.revoke()
    status, body = await token(server, grant_type="refresh_token", refresh_token=good)
    assert (status, body) == (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    assert me.ledger.tokens[-1].error == "invalid_grant"


@on_server()
async def test_reauthentication_has_a_subtype(server, me):
    good = refresh_token(server)
    me.revoke("reauth related error (invalid_rapt)", end_sessions=True)
    _, body = await token(server, grant_type="refresh_token", refresh_token=good)
    assert body == {"error": "invalid_grant", "error_description": "reauth related error (invalid_rapt)", "error_subtype": "invalid_rapt"}


@on_server(rotate_refresh_tokens=True, refresh_token_lifetime=1000)
async def test_rotation_and_grants_that_end(server, me):
    import asyncio

    first = server.hub.tokens.grant(ME, CLIENT_ID, lifetime=1000).refresh_token
    _, body = await token(server, grant_type="refresh_token", refresh_token=first)
    assert body["refresh_token_expires_in"] == 1000
    second = body["refresh_token"]
    assert second != first
    assert (await token(server, grant_type="refresh_token", refresh_token=first))[0] == 400
    await asyncio.sleep(1001)
    status, body = await token(server, grant_type="refresh_token", refresh_token=second)
    assert (status, body["error_description"]) == (400, "Token has been expired or revoked.")


@on_server(refresh_tokens_per_client=2)
async def test_the_oldest_of_too_many_refresh_tokens_dies_silently(server, me):
    grants = [server.hub.tokens.grant(ME, CLIENT_ID, limit=2) for _ in range(3)]
    assert [bool(grant.dead) for grant in grants] == [True, False, False]


@on_server(token_lifetime=5)
async def test_access_tokens_live_as_long_as_is_said(server, me):
    import asyncio

    _, body = await token(server, grant_type="refresh_token", refresh_token=refresh_token(server))
    assert body["expires_in"] == 5
    assert server.hub.tokens.valid(ME, body["access_token"])
    await asyncio.sleep(5)
    assert server.hub.tokens.valid(ME, body["access_token"]) is None


@on_server()
async def test_basic_authentication_and_json_bodies(server, me):
    good = refresh_token(server)
    basic = "Authorization: Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode() + "\r\n"
    status, _, _ = await http(server, "POST", "/token", {"grant_type": "refresh_token", "refresh_token": good}, basic)
    assert status == 200
    status, _, _ = await http(
        server, "POST", "/token", {"grant_type": "refresh_token", "refresh_token": good}, "Authorization: Basic ////\r\n"
    )
    assert status == 401
    raw = json.dumps({**CLIENT, "grant_type": "refresh_token", "refresh_token": good}).encode()
    assert (await http(server, "POST", "/o/oauth2/token", raw=raw, headers="Content-Type: application/json\r\n"))[0] == 200
    assert (await http(server, "POST", "/token", raw=b"[1]", headers="Content-Type: application/json\r\n"))[0] == 400


def consent(**changes):
    query = {
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "https://mail.google.com/",
        "state": "s",
        "access_type": "offline",
        "login_hint": ME,
    }
    query.update(changes)
    return "/o/oauth2/v2/auth?" + urlencode({name: value for name, value in query.items() if value is not None})


async def code_of(server, **changes):
    status, headers, _ = await http(server, "GET", consent(**changes))
    assert status == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(headers["Location"]).query).items()}


@on_server(refresh_token_lifetime=604_799)
async def test_consent_with_pkce_and_exchange(server, me):
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    answer = await code_of(server, code_challenge=challenge, code_challenge_method="S256", redirect_uri=REDIRECT + "?x=1")
    assert answer["state"] == "s"
    form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": REDIRECT + "?x=1"}
    assert (await token(server, **form))[1]["error_description"] == "Missing code verifier."
    assert (await token(server, **form, code_verifier="x"))[1]["error_description"] == "Invalid code verifier."
    assert (await token(server, **{**form, "redirect_uri": "http://x"}))[1]["error"] == "redirect_uri_mismatch"
    status, body = await token(server, **form, code_verifier=verifier)
    assert status == 200
    assert body["refresh_token"].startswith("1//")
    assert body["refresh_token_expires_in"] == 604_799
    assert (await token(server, **form, code_verifier=verifier))[1] == {"error": "invalid_grant", "error_description": "Bad Request"}
    assert (await token(server, grant_type="refresh_token", refresh_token=body["refresh_token"]))[0] == 200


@on_server()
async def test_codes_without_pkce_online_and_late(server, me):
    import asyncio

    answer = await code_of(server, access_type=None, code_challenge="plain", state=None, login_hint=None)
    assert (await token(server, grant_type="authorization_code", code=answer["code"], redirect_uri=REDIRECT))[0] == 400
    status, body = await token(server, grant_type="authorization_code", code=answer["code"], redirect_uri=REDIRECT, code_verifier="plain")
    assert status == 200
    answer = await code_of(server)
    assert (await token(server, grant_type="authorization_code", code=answer["code"], redirect_uri=REDIRECT))[1]["refresh_token"]
    assert "refresh_token" not in body
    answer = await code_of(server)
    await asyncio.sleep(601)
    assert (await token(server, grant_type="authorization_code", code=answer["code"], redirect_uri=REDIRECT))[0] == 400
    assert (await token(server, grant_type="authorization_code", code="x"))[1]["error_description"] == "Malformed auth code."


@on_server()
async def test_a_person_may_say_no(server, me):
    server.oauth.consent = "access_denied"
    assert await code_of(server) == {"state": "s", "error": "access_denied"}
    server.oauth.consent = "grant"
    assert (await code_of(server, login_hint="nobody@gmail.com"))["error"] == "access_denied"


@pytest.mark.parametrize(
    ("changes", "status"), [({"client_id": "x"}, 401), ({"redirect_uri": "https://example.org/"}, 400), ({"response_type": "token"}, 400)]
)
def test_the_consent_page_refuses(changes, status):
    @on_server()
    async def run(server, me):
        assert (await http(server, "GET", consent(**changes)))[0] == status

    run()


@on_server()
async def test_revocation(server, me):
    good = refresh_token(server)
    _, body = await token(server, grant_type="refresh_token", refresh_token=good)
    assert (await http(server, "POST", "/revoke", {"token": body["access_token"]}))[0] == 200
    assert server.hub.tokens.valid(ME, body["access_token"]) is None
    assert (await token(server, grant_type="refresh_token", refresh_token=good))[0] == 400
    status, _, body = await http(server, "POST", f"/revoke?token={good}")
    assert (status, body["error"]) == (400, "invalid_token")
    server.add_account("you@gmail.com")
    yours = server.access_token("you@gmail.com")
    me.revoke()
    assert server.hub.tokens.valid("you@gmail.com", yours)
    alone = me.access_token()
    assert (await http(server, "POST", "/revoke", {"token": alone}))[0] == 200
    assert (await http(server, "POST", "/revoke", {"token": "x"}))[0] == 400


@on_server()
async def test_what_is_not_offered(server, me):
    status, _, body = await http(server, "POST", "/device/code", {"scope": "https://mail.google.com/"})
    assert (status, body) == (400, {"error": "invalid_scope", "error_description": "Invalid device flow scope: https://mail.google.com/"})
    assert (await http(server, "GET", "/token"))[0] == 405
    assert (await http(server, "GET", "/nothing"))[0] == 404


@on_server()
async def test_bad_requests(server, me):
    for data in (
        b"nonsense\r\n\r\n",
        b"POST /token HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /token HTTP/1.1\r\nContent-Length: 1\r\n\r\n\xff",
    ):
        async with Wire(server, "http") as wire:
            wire.send(data)
            assert (await wire.rest()).startswith(b"HTTP/1.1 400 ")
    async with Wire(server, "http") as wire:
        wire.send(b"x" * 20_000)
        assert await wire.rest() == b""


@on_server()
async def test_requests_follow_each_other_on_one_connection(server, me):
    async with Wire(server, "http") as wire:
        for _ in range(2):
            wire.send(b"GET /nothing HTTP/1.1\r\n\r\n")
            assert await wire.line() == "HTTP/1.1 404 Not Found"
            while await wire.line():
                pass
            await wire.reader.readexactly(len("<html><title>Error 404 (Not Found)</title></html>"))


@on_server(token_delay=3)
async def test_faults_of_the_token_endpoint(server, me):
    import asyncio

    good = refresh_token(server)
    form = {**CLIENT, "grant_type": "refresh_token", "refresh_token": good}
    server.faults.add(Fault("answer", "TOKEN", text='429 {"error": "rate_limited"}', data=b"Retry-After: 7\r\n"))
    status, headers, body = await http(server, "POST", "/token", form)
    assert (status, headers["Retry-After"], body) == (429, "7", {"error": "rate_limited"})
    assert asyncio.get_running_loop().time() == pytest.approx(3)
    assert me.ledger.tokens == []
    assert server.ledger.tokens[0].error == "fault"
    server.faults.add(Fault("answer", "REVOKE", text="503 <html>"))
    assert (await http(server, "POST", "/revoke", form))[0] == 503
    for fault, size in ((Fault("close", "TOKEN"), 0), (Fault("close", "TOKEN", point="reply", byte=30), 30)):
        server.faults.add(fault)
        async with Wire(server, "http") as wire:
            body = urlencode(form)
            wire.send(f"POST /token HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}")
            assert len(await wire.rest()) == size
    assert len(me.ledger.refreshes()) == 1


def assertion(key, claims, alg="RS256"):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    def pack(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    text = f"{pack({'alg': alg})}.{pack(claims)}"
    private = serialization.load_pem_private_key(key.encode(), None)
    signature = private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@on_server()
async def test_service_accounts(server, me):
    info = server.add_service_account()
    now = int(server.hub.wall())
    good = {
        "iss": info["client_email"],
        "sub": ME,
        "aud": info["token_uri"],
        "scope": "https://mail.google.com/",
        "iat": now,
        "exp": now + 3600,
    }

    async def ask(alg="RS256", **changes):
        jwt = assertion(info["private_key"], {**good, **changes}, alg)
        status, _, body = await http(
            server, "POST", "/token", {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": jwt}
        )
        return status, body.get("error_description", ""), body

    status, _, body = await ask()
    assert status == 200
    assert server.hub.tokens.valid(ME, body["access_token"])
    assert (await ask(iss="x@y.z"))[1] == "Invalid grant: account not found"
    assert (await ask(alg="none"))[1] == "Invalid JWT Signature."
    assert (await ask(exp=now + 7200))[1].startswith("Invalid JWT: Token must be a short-lived token (60 minutes)")
    assert (await ask(aud="https://x"))[1] == "Invalid JWT: Failed audience check."
    assert (await ask(sub="me"))[1] == "Not a valid email"
    assert (await ask(sub="nobody@gmail.com"))[1] == "Invalid email or User ID"
    assert (await ask(scope="https://www.googleapis.com/auth/drive"))[::2][0] == 401
    status, _, body = await http(server, "POST", "/token", {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"})
    assert body["error_description"] == "Invalid JWT Signature."


@on_server()
async def test_a_refresh_token_comes_with_the_first_consent_and_when_it_is_asked_for(server, me):
    got = []
    for prompt in (None, None, "select_account consent"):
        answer = await code_of(server, prompt=prompt)
        body = (await token(server, grant_type="authorization_code", code=answer["code"], redirect_uri=REDIRECT))[1]
        got.append("refresh_token" in body)
    assert got == [True, False, True]
    me.revoke()
    answer = await code_of(server)
    assert "refresh_token" in (await token(server, grant_type="authorization_code", code=answer["code"], redirect_uri=REDIRECT))[1]


@on_server(rotate_refresh_tokens=True)
async def test_revoking_after_a_rotation_ends_every_access_token_of_the_consent(server, me):
    grant = server.hub.tokens.grant(ME, CLIENT_ID)
    first = (await token(server, grant_type="refresh_token", refresh_token=grant.refresh_token))[1]
    second = (await token(server, grant_type="refresh_token", refresh_token=first["refresh_token"]))[1]
    assert (await http(server, "POST", "/revoke", {"token": second["refresh_token"]}))[0] == 200
    assert not server.hub.tokens.valid(ME, first["access_token"])
    assert not server.hub.tokens.valid(ME, second["access_token"])


@pytest.mark.parametrize("redirect", ["http://127.0.0.1:1/\r\nX-Evil: 1", "http://[", "http://example.com/"])
def test_a_redirect_that_is_not_to_this_machine_or_holds_a_line_end_is_refused(redirect):
    @on_server()
    async def run(server, me):
        assert (await http(server, "GET", consent(redirect_uri=redirect)))[0] == 400

    run()


@pytest.mark.parametrize("claims", [[], {"iss": "r@x", "iat": "x"}, {"iss": "r@x", "iat": None}])
def test_claims_of_odd_kinds_are_invalid(claims):
    @on_server()
    async def run(server, me):
        key = server.add_service_account("r@x")["private_key"]
        signed = assertion(key, claims, "RS256")
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
        status, _, body = await http(server, "POST", "/token", form)
        assert (status, body["error"]) == (400, "invalid_grant")

    run()
