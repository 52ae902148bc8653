"""The door to aiosmtplib: no other file imports it. It connects, makes TLS and says EHLO; then the transport is ours.

What is used of it: ``SMTP.connect``, ``starttls`` and ``ehlo``. What is not: its transactions, whose errors do not tell before from after
the final dot, its reply reader, which gives one command's reply to another, and its ``close()``, which sends what is buffered.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import aiosmtplib

from aiogmail.errors import ConnectFailed, Disconnected, GmailError, ProtocolError
from aiogmail.settings import Endpoint
from aiogmail.tcp import connect_failed

from .connection import SmtpConnection
from .failures import reply_error
from .wire import Reply, parse_extensions

__all__ = ["connect"]

_NAME = "[127.0.0.1]"
"""What EHLO says of this machine: nothing. The server sees the address; its name is nobody's business, and finding it may block."""


class _Smtp(aiosmtplib.SMTP):
    """aiosmtplib's client, whose end is an end: its own ``close()`` sends in the background what is buffered."""

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]
        super().close()

    def hand_over(self, connection: SmtpConnection) -> None:
        """Let another protocol have the transport.

        Raises:
            ProtocolError: the server has said more than it was asked.
            Disconnected: it is gone.
        """
        transport, protocol = self.transport, self.protocol
        if transport is None or protocol is None or transport.is_closing():
            raise Disconnected(f"{connection.name}: the server closed the connection after EHLO")
        if protocol._buffer:  # noqa: SLF001  there is no other way to see it
            raise ProtocolError(f"{connection.name}: the server said more than EHLO asks for")
        transport.set_protocol(connection)
        connection.connection_made(transport)


async def connect(connection: SmtpConnection, endpoint: Endpoint, timeout: float) -> tuple[str, Mapping[str, str]]:
    """Connect, encrypt, greet, and let ``connection`` have the transport.

    Args:
        connection: the protocol that takes over.
        endpoint: where to.
        timeout: seconds for all of it.

    Returns:
        The server's greeting, and what it offers: keyword in capitals → parameters.

    Raises:
        ConnectFailed: no connection, no TLS, a certificate that does not fit, no STARTTLS where that is demanded.
        ProtocolError: it is no SMTP server.
        CommandError: it does not want us now.

    Cancelled, it leaves nothing open.
    """
    client = _Smtp(
        hostname=endpoint.host,
        port=endpoint.port,
        use_tls=endpoint.security == "tls",
        start_tls=False,
        tls_context=None if endpoint.security == "plaintext" else endpoint.context(),
        local_hostname=_NAME,
        timeout=None,
    )
    try:
        async with asyncio.timeout(timeout):
            greeting = await client.connect()
            await client.ehlo()
            if endpoint.security == "starttls":
                await _start_tls(client, endpoint)
        greeted = client.last_ehlo_response
        client.hand_over(connection)
    except TimeoutError as error:
        client.close()
        raise ConnectFailed(f"{endpoint}: no connection within {timeout:g} s") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        client.close()
        if isinstance(error, GmailError):
            raise
        raise _translated(str(endpoint), error) from error
    except BaseException:
        client.close()
        raise
    assert greeted is not None
    return greeting.message, parse_extensions(tuple(greeted.message.split("\n")))


async def _start_tls(client: _Smtp, endpoint: Endpoint) -> None:
    if not client.supports_extension("STARTTLS"):
        raise ConnectFailed(
            f"{endpoint}: the server does not offer STARTTLS, or somebody on the way took it out: nothing was sent in clear", permanent=True
        )
    await client.starttls(server_hostname=endpoint.host, tls_context=endpoint.context())
    await client.ehlo()


def _translated(where: str, error: aiosmtplib.SMTPException | OSError) -> GmailError:
    """The system's own words, and whether trying again can help."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLError):
        return connect_failed(where, cause)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        if not 400 <= error.code < 600:
            return ProtocolError(f"{where}: not an SMTP server: {error.message[:80]!r}")
        return reply_error(where, "connect", Reply(error.code, tuple(error.message.split("\n"))))
    below = error.__cause__ if isinstance(error.__cause__, OSError) else error
    words = below.strerror if isinstance(below, OSError) and below.strerror else str(below)
    return ConnectFailed(f"{where}: cannot connect: {words or type(below).__name__}")
