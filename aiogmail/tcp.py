"""How is a server reached, whatever it speaks? TLS as its endpoint asks for it, words for a failure, and probes that find a dead peer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from typing import Any

from aiogmail.errors import ConnectFailed
from aiogmail.settings import Endpoint, Timeouts

__all__ = ["connect_failed", "keep_alive", "tls_options"]


def tls_options(endpoint: Endpoint) -> dict[str, Any]:
    """What ``loop.create_connection`` is to be told of TLS: nothing where the connection begins in clear."""
    if endpoint.security != "tls":
        return {}
    return {"ssl": endpoint.context(), "server_hostname": endpoint.host, "ssl_shutdown_timeout": 1.0}


def connect_failed(where: str, error: OSError) -> ConnectFailed:
    """The system's own words, or the TLS library's, and whether trying again can help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectFailed(f"{where}: the certificate does not fit: {error.verify_message or error}", permanent=True)
    if isinstance(error, ssl.SSLError):
        return ConnectFailed(f"{where}: TLS failed: {getattr(error, 'reason', None) or error}")
    return ConnectFailed(f"{where}: cannot connect: {error.strerror or error}")


def keep_alive(sock: socket.socket | None, timeouts: Timeouts) -> None:
    """TCP probes find a peer that went away without a word; Linux also bounds how long sent data may stay unacknowledged.

    A system that does not let them be set, as some sandboxes do not, has its own: that ends no connection.
    """
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, timeouts.keepalive_idle)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, timeouts.keepalive_interval)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, timeouts.keepalive_count)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeouts.user_timeout * 1000))
