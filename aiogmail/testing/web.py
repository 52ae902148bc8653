"""How is HTTP spoken, as far as the OAuth endpoints need it? One request after another, small bodies, nothing chunked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from .channel import Channel, Hangup, Interrupted, LineTooLong
from .faults import Fault
from .gate import Gate, read_command
from .oauth import OAuthEndpoints, Reply

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["serve_http"]

_MAX_BODY = 64 * 1024
_MAX_HEADERS = 100
_VERBS = {"/token": "TOKEN", "/o/oauth2/token": "TOKEN", "/revoke": "REVOKE", "/o/oauth2/v2/auth": "AUTH"}
_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(slots=True)
class _Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)


async def serve_http(hub: Hub, endpoints: OAuthEndpoints, channel: Channel) -> None:
    """Serve one connection to its end."""
    record = hub.connected("http", channel)
    reason = "closed by peer"
    try:
        while True:
            request = await _exchange(hub, endpoints, channel)
            if request.headers.get("connection", "").lower() == "close":
                reason = "closed"
                break
    except (Hangup, Interrupted, LineTooLong):
        pass
    except asyncio.CancelledError:
        reason = "emulator stopped"
        raise
    except ValueError:
        reason = "bad request"
        channel.write(_response(Reply(400, {"error": "invalid_request"})))
    finally:
        hub.disconnected(record, reason)


async def _exchange(hub: Hub, endpoints: OAuthEndpoints, channel: Channel) -> _Request:
    """One request and its answer. Which request it is, its first line says: a fault may fall into the rest of it."""
    record = channel.record
    assert record is not None

    def answered(fault: Fault) -> bytes:
        status, _, body = fault.text.partition(" ")
        return _response(Reply(int(status), body), fault.data)

    def opened(verb: str, _line: bytes) -> Gate:
        return Gate(channel, hub.fault(record, verb), render=answered)

    line, verb, gate = await read_command(channel, 16 * 1024, _verb, opened)
    if verb is None or gate is None:
        raise ValueError("request line")
    request = _begin(line)
    await _read(channel, request)
    hub.saw(record, verb, f"{request.method} {request.path}")
    if hub.behaviour.token_delay:
        await asyncio.sleep(hub.behaviour.token_delay)
    if not await gate.before():
        try:
            reply = endpoints.handle(verb, request.method, request.query, request.form, request.headers)
        except Exception as error:  # noqa: BLE001  the emulator's own fault: told to the client, and raised when the emulator is closed
            hub.crashed(error)
            reply = Reply(500, {"error": "internal_failure", "error_description": "Backend Error"})
        channel.write(_response(reply))
    elif gate.fault is not None and verb == "TOKEN":
        endpoints.note(request.form.get("grant_type", ""), None, int(gate.fault.text.partition(" ")[0]), "fault")
    await gate.after()
    await channel.drain()
    return request


def _verb(words: list[bytes], line: bytes | None) -> str | None:
    """The endpoint of a request line that has come as far as its path."""
    if len(words) < (2 if line is None else 3):
        return None
    path = urlsplit(words[1].decode("latin-1")).path
    return _VERBS.get(path, path)


def _begin(raw: bytes) -> _Request:
    line = raw.decode("ascii").split()
    if len(line) != 3:
        raise ValueError("request line")
    url = urlsplit(line[1])
    return _Request(line[0].upper(), url.path, dict(parse_qsl(url.query)))


async def _read(channel: Channel, request: _Request) -> None:
    for _ in range(_MAX_HEADERS):
        header = (await channel.read_line(16 * 1024)).decode("latin-1").strip()
        if not header:
            break
        name, _, value = header.partition(":")
        request.headers[name.strip().lower()] = value.strip()
    length = int(request.headers.get("content-length", "0"))
    if not 0 <= length <= _MAX_BODY:
        raise ValueError("body too large")
    body = (await channel.read_exactly(length)).decode()
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            found = json.loads(body or "{}")
        except RecursionError:
            raise ValueError("nested too deep") from None
        request.form = {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    else:
        request.form = dict(parse_qsl(body))


def _response(reply: Reply, extra: bytes = b"") -> bytes:
    text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body, indent=2)
    kind = "application/json; charset=utf-8" if not isinstance(reply.body, str) or text[:1] in {"{", "["} else "text/html; charset=utf-8"
    body = text.encode()
    head = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Status')}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    head += ["Cache-Control: no-cache, no-store, max-age=0, must-revalidate", "Pragma: no-cache"]
    head += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join(head).encode() + b"\r\n" + extra + b"\r\n" + body
